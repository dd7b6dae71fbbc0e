# Rendered by keyturn from environments/lab-node-encryption.yaml; edits are overwritten
# shellcheck shell=sh
#
# Brings cluster lab-node-encryption to where git takes over: a cluster without a CNI cannot run an engine, so Cilium is
# installed once by hand, with the chart, values and key that git holds.  Review it, then run it from anywhere:
#
#   sh bootstrap.sh
#
# A second run does no harm.  It stops where the cluster is another one or holds another key.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/../.."

say() { printf '%s\n' "bootstrap.sh: $*" >&2; }
die() { say "$*"; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is not on PATH"; }

context=${KUBE_CONTEXT:-kind-kind}
namespace=kube-system
tree=clusters/lab-node-encryption
kube() { kubectl --context "$context" "$@"; }
hub=${ARGOCD_CONTEXT:-$context}

need kubectl
need helm
need git
git ls-files --error-unmatch "$tree/argocd" >/dev/null 2>&1 ||
  say "warning: $tree is not in git, where Argo CD will look for it; commit it and push"

if [ -z "${KUBE_CONTEXT:-}" ]; then
  need kind
  clusters=$(kind get clusters)
  if ! printf '%s\n' "$clusters" | grep -qxF kind; then
    say "making the kind cluster kind"
    kind create cluster --config "$tree/kind.yaml"
  fi
fi

there=$(kube -n "$namespace" get configmap cilium-config --ignore-not-found -o 'jsonpath={.data.cluster-name}')
[ -z "$there" ] || [ "$there" = lab-node-encryption ] ||
  die "context $context is cluster $there, not lab-node-encryption"

kube create namespace "$namespace" --dry-run=client -o yaml | kube apply --server-side -f -

say "installing Cilium 1.16.0"
helm upgrade --install cilium cilium --repo https://helm.cilium.io \
  --version 1.16.0 --kube-context "$context" --namespace "$namespace" --values "$tree/cilium/values.yaml"
kube -n "$namespace" rollout status daemonset/cilium --timeout=10m

kubectl --context "$hub" get customresourcedefinition applications.argoproj.io >/dev/null ||
  die "no Argo CD in $hub: install it and apply what 'keyturn engine argocd lab-node-encryption' prints, then run this again"
say "handing over to Argo CD in $hub, which reads https://git.example.com/platform/clusters.git"
kubectl --context "$hub" apply --server-side -f "$tree/argocd-root.yaml"
say "done"
