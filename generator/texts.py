"""What names, versions and addresses look like: one pattern each, for the parser and for the JSON Schema."""

from __future__ import annotations

from typing import Final

from generator.shapes import Text

DNS_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAME: Final = Text(DNS_LABEL, "a DNS label (a-z, 0-9 and -)", longest=63)
MAX_CLUSTER_NAME: Final = 32  # Cilium's own limit
CLUSTER_NAME: Final = Text(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    f"a cluster name (a-z, 0-9 and -, at most {MAX_CLUSTER_NAME} characters)",
    longest=MAX_CLUSTER_NAME,
)
VERSION: Final = Text(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?",
    "a chart version such as 1.16.0",
    "all three numbers, no v before them",
    longest=64,
)
_LOOPBACK: Final = r"(127\.0\.0\.1|localhost|\[::1\])"
HOST: Final = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?"
_IPV6: Final = r"\[[0-9A-Fa-f:.]+\](:[0-9]+)?"
PATH: Final = r"(/[A-Za-z0-9._~-]+)*/?"
CHART_REPOSITORY: Final = Text(
    rf"((https|oci)://{HOST}|http://{_LOOPBACK}(:[0-9]+)?){PATH}",
    "an https:// or oci:// address without user or query",
    "credentials belong in the cluster",
)
GIT_REPOSITORY: Final = Text(
    rf"(https://{HOST}|ssh://([A-Za-z0-9_-]+@)?{HOST}|http://{_LOOPBACK}(:[0-9]+)?)(/[A-Za-z0-9._~-]+)+/?",
    "an https:// or ssh:// address without a password",
    "write git@host:path as ssh://git@host/path",
)
_REVISION_PART: Final = r"(?![^/]*\.\.)(?![^/]*\.lock(/|$))[A-Za-z0-9_]([A-Za-z0-9._+-]*[A-Za-z0-9_+-])?"
REVISION: Final = Text(
    rf"{_REVISION_PART}(/{_REVISION_PART})*",
    "a branch or tag",
)
FOLDER: Final = Text(
    r"|[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*",
    "a folder inside the repository such as clusters/eu",
    "no leading slash, no ..",
)
API_SERVER: Final = Text(rf"https://({HOST}|{_IPV6}){PATH}", "an https:// address")
# What Argo CD calls a cluster is often what a cloud calls it: an ARN, or words with underscores.
ARGOCD_CLUSTER: Final = Text(r"[A-Za-z0-9]([A-Za-z0-9._:/@-]*[A-Za-z0-9])?", "a cluster's name in Argo CD")
