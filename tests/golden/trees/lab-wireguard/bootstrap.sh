# Rendered by keyturn from environments/lab-wireguard.yaml; edits are overwritten
# shellcheck shell=sh
#
# Brings cluster lab-wireguard to where git takes over: a cluster without a CNI cannot run an engine, so Cilium is
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

context=${KUBE_CONTEXT:-kind-kind}
namespace=kube-system
tree=clusters/lab-wireguard
kube() { kubectl --context "$context" "$@"; }

need kubectl
need helm
need flux
need git
git ls-files --error-unmatch "$tree/flux" >/dev/null 2>&1 ||
  say "warning: $tree is not in git, where Flux will look for it; commit it and push"

if [ -z "${KUBE_CONTEXT:-}" ]; then
  need kind
  clusters=$(kind get clusters)
  if ! printf '%s\n' "$clusters" | grep -qxF kind; then
    say "making the kind cluster kind"
    kind create cluster --config "$tree/kind.yaml"
  fi
fi

there=$(kube -n "$namespace" get configmap cilium-config --ignore-not-found -o 'jsonpath={.data.cluster-name}')
[ -z "$there" ] || [ "$there" = lab-wireguard ] ||
  die "context $context is cluster $there, not lab-wireguard"

kube create namespace "$namespace" --dry-run=client -o yaml | kube apply --server-side -f -

say "installing Cilium 1.16.0"
helm upgrade --install cilium cilium --repo https://helm.cilium.io \
  --version 1.16.0 --kube-context "$context" --namespace "$namespace" --values "$tree/cilium/values.yaml"
kube -n "$namespace" rollout status daemonset/cilium --timeout=10m

kube create namespace flux-system --dry-run=client -o yaml | kube apply --server-side -f -

url=${GIT_URL:-$(git config --get remote.origin.url || true)}
[ -n "$url" ] || die "no git remote; set GIT_URL to the address that the cluster can read"
case $url in
  https://*@* | *://*:*@*) die "the remote's address holds a password or token; set GIT_URL to one without" ;;
  *://* | /*) ;;
  *:*) url=ssh://${url%%:*}/${url#*:} ;; # git@host:path, which flux does not take
esac
say "handing over to Flux, which reads $url"
flux bootstrap git --context "$context" --namespace flux-system --url "$url" --branch main \
  --path=clusters/lab-wireguard/flux "$@"
say "done"
