# Rendered by keyturn from environments/argocd-server.yaml; edits are overwritten
# shellcheck shell=sh
#
# Brings cluster argocd-server to where git takes over: a cluster without a CNI cannot run an engine, so Cilium is
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

context=${KUBE_CONTEXT:?set KUBE_CONTEXT to the kubectl context of cluster argocd-server}
namespace=cilium
tree=clusters/argocd-server
kube() { kubectl --context "$context" "$@"; }
hub=${ARGOCD_CONTEXT:?set ARGOCD_CONTEXT to the kubectl context of the cluster that runs Argo CD}

need kubectl
need helm
need git
git ls-files --error-unmatch "$tree/argocd" >/dev/null 2>&1 ||
  say "warning: $tree is not in git, where Argo CD will look for it; commit it and push"
secret=$tree/secrets/cilium-ipsec-keys.sops.yaml
sops=sops
command -v sops >/dev/null || sops=.venv/bin/sops
need "$sops"
[ -f "$secret" ] || die "$secret is missing: keyturn render argocd-server"
"$sops" decrypt "$secret" >/dev/null || die "no private key at hand for $secret"

there=$(kube -n "$namespace" get configmap cilium-config --ignore-not-found -o 'jsonpath={.data.cluster-name}')
[ -z "$there" ] || [ "$there" = argocd-server ] ||
  die "context $context is cluster $there, not argocd-server"

kube create namespace "$namespace" --dry-run=client -o yaml | kube apply --server-side -f -
git_has=$(sed -n 's|^ *keyturn/fingerprint: *||p' "$secret")
found=$(kube -n "$namespace" get secret cilium-ipsec-keys --ignore-not-found -o name)
if [ -n "$found" ]; then
  cluster_has=$(kube -n "$namespace" get secret cilium-ipsec-keys -o 'jsonpath={.metadata.annotations.keyturn/fingerprint}')
  [ "$cluster_has" = "$git_has" ] || die "the cluster holds another key than $secret"
fi
say "applying the key $git_has"
"$sops" decrypt "$secret" | kube apply --server-side -f -

say "installing Cilium 1.18.12"
helm upgrade --install cilium oci://registry.example.com/charts/cilium \
  --version 1.18.12 --kube-context "$context" --namespace "$namespace" --values "$tree/cilium/values.yaml"
kube -n "$namespace" rollout status daemonset/cilium --timeout=10m

kubectl --context "$hub" get customresourcedefinition applications.argoproj.io >/dev/null ||
  die "no Argo CD in $hub: install it and apply what 'keyturn engine argocd argocd-server' prints, then run this again"
say "handing over to Argo CD in $hub, which reads ssh://git@git.example.com/platform/clusters.git"
kubectl --context "$hub" apply --server-side -f "$tree/argocd-root.yaml"
say "done"
