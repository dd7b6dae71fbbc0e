"""Helm as a library, in a process of its own: a request a line in, an answer a line out, both JSON.

`helm` runs it by its path, since no Go runtime should live in keyturn's own process, where its crash would end both.
It imports nothing of keyturn.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import helm_python
from helm_python import _native


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what the library says on its own goes not among the answers
    charts: dict[str, helm_python.Chart] = {}
    for line in sys.stdin.buffer:
        try:
            answer = {"done": _done(json.loads(line), charts)}
        except helm_python.HelmError as error:
            answer = {"failed": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _done(request: dict[str, Any], charts: dict[str, helm_python.Chart]) -> Any:
    if request["do"] == "pull":
        return helm_python.pull(**request["words"])
    path = request["chart"]
    if path not in charts:
        charts[path] = helm_python.Chart.load(path)
    words = json.dumps(request["words"])
    raw = charts[path]._raw()  # noqa: SLF001 -- Chart.render itself takes no API versions
    rendered = _native.call_string("helm_render", raw, request["values"], words)
    return {name: text for name, text in json.loads(rendered).items() if not name.endswith("NOTES.txt")}


if __name__ == "__main__":
    main()
