"""Another `keySize` in the text of an environment file, every other byte as it was.  No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from generator import yamlio
from generator.errors import RefusedError
from generator.nodes import plain

if TYPE_CHECKING:
    from generator.nodes import Node, Plain

_PATH: Final = ("encryption", "ipsec", "keySize")


def replaced(data: bytes, source: str, size: int) -> bytes:
    """Return a file that says `encryption.ipsec.keySize: size`, in its own style.

    Raises RefusedError where that takes a person: the result is read again, and has to say nothing else.
    """
    root, findings = yamlio.read(data, source)
    if root is not None and not findings:
        for last in (True, False):
            made = _edited(data.decode("utf-8"), root, size, last=last).encode()
            again, wrong = yamlio.read(made, source)
            if again is not None and not wrong and plain(again) == _with(plain(root), size):
                return made
    raise RefusedError(f"{source} is not to be changed by a machine", hint=f"write {'.'.join(_PATH)}: {size} there")


def _with(data: Plain, size: int) -> Plain:
    whole = dict(data) if isinstance(data, dict) else {}
    part = whole
    for key in _PATH[:-1]:
        inner = part.get(key)
        part[key] = inner = dict(inner) if isinstance(inner, dict) else {}
        part = inner
    part[_PATH[-1]] = size
    return whole


def _edited(text: str, root: Node, size: int, *, last: bool) -> str:
    """Put the number in the place of the old one, or the missing keys into the deepest mapping that is there.

    There they stand behind what it has, or before it, where that ends in a way that cannot be seen.
    """
    lines = text.splitlines(keepends=True)
    node, depth = root, 0
    while depth < len(_PATH) and isinstance(node.value, dict) and (inner := node.value.get(_PATH[depth])) is not None:
        node, depth = inner, depth + 1
    if depth == len(_PATH):
        line, start = lines[node.line - 1], node.column - 1
        lines[node.line - 1] = f"{line[:start]}{size}{line[start + len(node.text) :]}"
        return "".join(lines)
    missing = _PATH[depth:]
    if depth and isinstance(node.value, dict) and lines[node.line - 1][node.column - 1 :].startswith("{"):
        flow = "".join(f"{key}: {{" for key in missing[:-1]) + f"{missing[-1]}: {size}" + "}" * (len(missing) - 1)
        line, start = lines[node.line - 1], node.column
        rest = line[start:]
        lines[node.line - 1] = f"{line[:start]}{flow}{'' if rest.lstrip().startswith('}') else ', '}{rest}"
        return "".join(lines)
    if depth and node.value is None:  # a key without a value
        indent, place = node.key_column + 1, node.key_line
    elif depth:
        behind = last and lines[_end(node) - 1].endswith("\n")
        indent, place = node.column - 1, _end(node) if behind else node.line - 1
    else:
        indent, place = 0, len(lines)
    end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    block = [f"{' ' * (indent + 2 * step)}{key}:{end}" for step, key in enumerate(missing[:-1])]
    block.append(f"{' ' * (indent + 2 * (len(missing) - 1))}{missing[-1]}: {size}{end}")
    if place and not lines[place - 1].endswith("\n"):
        lines[place - 1] += end
    return "".join([*lines[:place], *block, *lines[place:]])


def _end(node: Node) -> int:
    """Return the last line on which anything of a node begins."""
    value = node.value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max([node.line, *(_end(child) for child in inside)])
