"""Closed mappings: dataclasses whose fields know their shape, their words and their default."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from generator.redaction import redact
from generator.shapes import Schema, Shape, Span, WrongError, nearest, wrong_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.findings import Finding
    from generator.nodes import Node, Plain


class ReportedError(Exception):
    """A record lacks a required member; the findings say why."""


def option(
    shape: Shape[Any], doc: str, *, default: object = MISSING, example: str = "", shown: object = MISSING
) -> Any:
    """Declare a member of a record: a dataclass field that knows its shape and its words.

    Without a default it is required, and `example` is what to write.  `shown` is the default that the schema tells,
    where that is another.
    """
    words = {"shape": shape, "doc": doc, "example": example, "shown": default if shown is MISSING else shown}
    return field(default=default, metadata=words, kw_only=True)


R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Record(Shape[R]):
    """A closed mapping, read into the dataclass `kind`, whose fields are made by `option`.

    A member that does not fit is a finding, and stands at its default.
    """

    kind: type[R]

    def read(self, node: Node, name: str, findings: list[Finding]) -> R:
        if not isinstance(node.value, dict):
            raise wrong_type(node, "a mapping", f"with {', '.join(members(self.kind))}")
        known = members(self.kind)
        unknown = [key for key in node.value if key not in known]
        findings += [unknown_key(node.value[key], key, name, list(known)) for key in unknown]
        values: dict[str, object] = {}
        whole = True
        for key, member in known.items():
            child = node.value.get(key)
            if child is not None:
                fits = _put(values, member, child, f"{name}.{key}".lstrip("."), findings)
                whole &= fits or member.default is not MISSING  # the rules about the others can still be told
            elif member.default is MISSING:
                whole = False
                where = f"{name}: " if name else ""
                hint = f"such as {member.metadata['example']}"
                findings.append(node.finding("missing-key", f"{where}{key} is missing", hint))
        if not whole:
            raise ReportedError
        return self.kind(**values)

    def schema(self) -> Schema:
        properties = {name: _member_schema(member) for name, member in members(self.kind).items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}


def _put(values: dict[str, object], member: Field[Any], node: Node, name: str, findings: list[Finding]) -> bool:
    """Read one member into `values`; False where it does not fit, which `findings` then tells."""
    try:
        values[member.name] = _shape(member).read(node, name, findings)
    except WrongError as wrong:
        findings.append(node.finding(wrong.rule, f"{name}: {wrong.message}", wrong.hint))
        return False
    except ReportedError:
        return False
    return True


def unknown_key(node: Node, key: str, name: str, known: list[str]) -> Finding:
    close = nearest(key, known)
    hint = f"did you mean {close}?" if close else f"known here: {', '.join(known)}"
    where = f" in {name}" if name else ""
    return node.finding("unknown-key", f"unknown key {redact(key)!r}{where}", hint, key=True)


def members(kind: type) -> Mapping[str, Field[Any]]:
    """Return name in the file -> field, in the order of the class; found out once."""
    if kind not in _MEMBERS:
        _MEMBERS[kind] = {_yaml_name(member): member for member in fields(kind) if "shape" in member.metadata}
    return _MEMBERS[kind]


_MEMBERS: Final[dict[type, Mapping[str, Field[Any]]]] = {}


def _yaml_name(member: Field[Any]) -> str:
    """`key_size` in Python is `keySize` in the file."""
    first, *rest = member.name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def _shape(member: Field[Any]) -> Shape[object]:
    return cast("Shape[object]", member.metadata["shape"])


def _member_schema(member: Field[Any]) -> Schema:
    schema = {"description": str(member.metadata["doc"]), **_shape(member).schema()}
    default = member.metadata["shown"]
    if default is not MISSING and isinstance(default, str | int | tuple | Span | None):
        schema["default"] = default_of(default)
    return schema


def default_of(value: object) -> Plain:
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value) if isinstance(value, Span) else cast("Plain", value)
