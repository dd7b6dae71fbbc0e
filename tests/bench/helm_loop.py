"""Helm as a library, in one process: one chart, rendered for each file of values.  Run by a Python that holds it.

It stands in the folder that inputs.helm has filled, and writes each file again whether it differs or not, as
`helm template --output-dir` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python


def main() -> None:
    groups = {
        file.stem: helm_python.values_from_yaml(file.read_text("utf-8"))
        for file in Path("values/groups").glob("*.yaml")
    }
    with helm_python.Chart.load("chart") as chart:
        for file in sorted(Path("values").glob("*.yaml")):
            own = _values(file)
            rendered = chart.render(groups[own["group"]] | own, name=file.stem, namespace="default")
            for path, text in rendered.items():
                out = Path("out") / file.stem / path.removeprefix("cluster/templates/")
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text(text, "utf-8")


def _values(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = helm_python.values_from_yaml(file.read_text("utf-8"))
    return values


if __name__ == "__main__":
    main()
