# Rendered by keyturn from environments/oci-1-20.yaml; edits are overwritten
# shellcheck shell=sh
#
# Brings cluster frankfurt to where git takes over: a cluster without a CNI cannot run an engine, so Cilium is
# installed once by hand, with the chart, values and key that git holds.  Review it, then run it from anywhere:
#
#   sh bootstrap.sh [ARGUMENTS OF flux bootstrap git]
#
# A second run does no harm.  It stops where the cluster is another one or holds another key.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/../.."

say() { printf '%s\n' "bootstrap.sh: $*" >&2; }
die() { say "$*"; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is not on PATH"; }

context=${KUBE_CONTEXT:?set KUBE_CONTEXT to the kubectl context of cluster frankfurt}
namespace=kube-system
tree=clusters/oci-1-20
kube() { kubectl --context "$context" "$@"; }

need kubectl
need helm
need flux
need git
git ls-files --error-unmatch "$tree/flux" >/dev/null 2>&1 ||
  say "warning: $tree is not in git, where Flux will look for it; commit it and push"

there=$(kube -n "$namespace" get configmap cilium-config --ignore-not-found -o 'jsonpath={.data.cluster-name}')
[ -z "$there" ] || [ "$there" = frankfurt ] ||
  die "context $context is cluster $there, not frankfurt"

kube create namespace "$namespace" --dry-run=client -o yaml | kube apply --server-side -f -

say "installing Cilium 1.20.0"
helm upgrade --install cilium oci://registry.example.com/charts/cilium \
  --version 1.20.0 --kube-context "$context" --namespace "$namespace" --values "$tree/cilium/values.yaml"
kube -n "$namespace" rollout status daemonset/cilium --timeout=10m

kube create namespace flux-system --dry-run=client -o yaml | kube apply --server-side -f -

url=${GIT_URL:-ssh://git@git.example.com/platform/clusters.git}
say "handing over to Flux, which reads $url"
flux bootstrap git --context "$context" --namespace flux-system --url "$url" --branch main \
  --path=clusters/oci-1-20/flux "$@"
say "done"
