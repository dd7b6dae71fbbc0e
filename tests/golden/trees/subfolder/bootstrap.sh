# Rendered by keyturn from environments/subfolder.yaml; edits are overwritten
# shellcheck shell=sh
#
# Brings cluster subfolder-1 to where git takes over: a cluster without a CNI cannot run an engine, so Cilium is
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

context=${KUBE_CONTEXT:?set KUBE_CONTEXT to the kubectl context of cluster subfolder-1}
namespace=kube-system
tree=clusters/subfolder
kube() { kubectl --context "$context" "$@"; }

need kubectl
need helm
need git
git ls-files --error-unmatch "$tree/flux" >/dev/null 2>&1 ||
  say "warning: $tree is not in git, where Flux will look for it; commit it and push"
secret=$tree/secrets/cilium-ipsec-keys.sops.yaml
sops=sops
command -v sops >/dev/null || sops=.venv/bin/sops
need "$sops"
[ -f "$secret" ] || die "$secret is missing: keyturn render subfolder"
"$sops" decrypt "$secret" >/dev/null || die "no private key at hand for $secret"

there=$(kube -n "$namespace" get configmap cilium-config --ignore-not-found -o 'jsonpath={.data.cluster-name}')
[ -z "$there" ] || [ "$there" = subfolder-1 ] ||
  die "context $context is cluster $there, not subfolder-1"

kube create namespace "$namespace" --dry-run=client -o yaml | kube apply --server-side -f -
git_has=$(sed -n 's|^ *keyturn/fingerprint: *||p' "$secret")
found=$(kube -n "$namespace" get secret cilium-ipsec-keys --ignore-not-found -o name)
if [ -n "$found" ]; then
  cluster_has=$(kube -n "$namespace" get secret cilium-ipsec-keys -o 'jsonpath={.metadata.annotations.keyturn/fingerprint}')
  [ "$cluster_has" = "$git_has" ] || die "the cluster holds another key than $secret"
fi
say "applying the key $git_has"
"$sops" decrypt "$secret" | kube apply --server-side -f -

say "installing Cilium 1.19.6"
helm upgrade --install cilium cilium-lts --repo https://mirror.example.com/helm/ \
  --version 1.19.6 --kube-context "$context" --namespace "$namespace" --values "$tree/cilium/values.yaml"
kube -n "$namespace" rollout status daemonset/cilium --timeout=10m

kube create namespace gitops --dry-run=client -o yaml | kube apply --server-side -f -
# shellcheck disable=SC2016 # Go's variables: the names of what the Secret holds, never the key
found=$(kube -n gitops get secret fleet-age --ignore-not-found \
  -o 'go-template={{range $name, $_ := .data}}{{$name}} {{end}}')
if [ -n "$found" ]; then
  say "keeping the cluster's decryption key fleet-age"
else
  config=$HOME/.config
  [ "$(uname)" != Darwin ] || config="$HOME/Library/Application Support"
  identity=${ENGINE_AGE_KEY_FILE:-${SOPS_AGE_KEY_FILE:-${XDG_CONFIG_HOME:-$config}/sops/age/keys.txt}}
  [ -f "$identity" ] || die "no age identity in $identity; set ENGINE_AGE_KEY_FILE, or make fleet-age by hand"
  [ "$(grep -c '^AGE-SECRET-KEY-' "$identity")" -eq 1 ] ||
    die "$identity holds more than this cluster may have; put its one identity into a file and set ENGINE_AGE_KEY_FILE"
  say "giving Flux the decryption key fleet-age"
  kube -n gitops create secret generic fleet-age --from-file=age.agekey="$identity" \
    --dry-run=client -o yaml | kube apply --server-side -f -
fi

say "handing over to Flux, whose source fleet is there already"
kube apply --server-side -f "$tree/flux"
say "done"
