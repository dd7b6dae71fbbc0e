# Rendered by keyturn from environments/no-engine.yaml; edits are overwritten
# shellcheck shell=sh
#
# Brings cluster no-engine to where git takes over: a cluster without a CNI cannot run an engine, so Cilium is
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

context=${KUBE_CONTEXT:?set KUBE_CONTEXT to the kubectl context of cluster no-engine}
namespace=kube-system
tree=clusters/no-engine
kube() { kubectl --context "$context" "$@"; }

need kubectl
need helm

there=$(kube -n "$namespace" get configmap cilium-config --ignore-not-found -o 'jsonpath={.data.cluster-name}')
[ -z "$there" ] || [ "$there" = no-engine ] ||
  die "context $context is cluster $there, not no-engine"

kube create namespace "$namespace" --dry-run=client -o yaml | kube apply --server-side -f -

say "installing Cilium 1.18.12"
helm upgrade --install cilium cilium --repo https://helm.cilium.io \
  --version 1.18.12 --kube-context "$context" --namespace "$namespace" --values "$tree/cilium/values.yaml"
kube -n "$namespace" rollout status daemonset/cilium --timeout=10m
say "done"
