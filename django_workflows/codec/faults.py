"""Finding out why a value cannot be stored: a slow walk, taken only after a fast check has failed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from enum import Enum
from typing import Any

from django_workflows.codec.native import ENCODER, Lossy, encode_hook, is_pydantic
from django_workflows.codec.records import left_out, names_of
from django_workflows.exceptions import PayloadError, PayloadTooDeep, Unserializable

_MAX_PATH = 300
_MAX_KEY = 60
_SURROGATE = re.compile("[\ud800-\udfff]")


def find_fault(value: Any, *, max_depth: int) -> PayloadError | None:
    """The first reason why the value has no lossless JSON form, naming its path; None when there is none."""
    try:
        return _visit(value, "$", 0, max_depth)
    except Exception:  # what a value says of itself is foreign code
        return None


def too_deep(path: str, max_depth: int) -> PayloadTooDeep:
    return PayloadTooDeep(
        f"{_clip(path)} is nested deeper than {max_depth} levels, or contains itself. Flatten the value, or store it "
        f'elsewhere and pass its id. The limit is WORKFLOWS["MAX_PAYLOAD_DEPTH"].'
    )


def _visit(value: Any, path: str, depth: int, max_depth: int) -> PayloadError | None:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return _text_fault(value, path)
    if isinstance(value, float):
        return None if math.isfinite(value) else _refuse(path, f"is {float(value)}", "Send None or a text instead.")
    children = _children(value, path)
    if children is None:
        return _moment_fault(value, path) or _leaf_fault(value, path, depth, max_depth)
    if depth >= max_depth:
        return too_deep(path, max_depth)
    if (name := left_out(value)) is not None:
        return _refuse(
            f"{path}.{name}",
            "is a private attribute of an attrs class",
            "Let no name begin with an underscore, or make it a dataclass.",
        )
    if isinstance(value, dict) and (fault := _key_fault(value, path)):
        return fault
    return next((fault for at, child in children if (fault := _visit(child, at, depth + 1, max_depth))), None)


def _children(value: Any, path: str) -> Iterator[tuple[str, Any]] | None:
    """The path and value of each part, as msgspec would encode them; None for a value without parts."""
    if isinstance(value, dict):
        return ((f"{path}{_subscript(key)}", child) for key, child in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ((f"{path}[{index}]", child) for index, child in enumerate(value))
    kind: type = type(value)
    names = names_of(kind)
    if names is None or is_pydantic(kind):  # whose model writes itself
        return None
    return ((f"{path}.{name}", getattr(value, name)) for name in names if hasattr(value, name))


def _subscript(key: Any) -> str:
    key = key.value if isinstance(key, Enum) else key
    if not isinstance(key, str):
        return f"[{type(key).__name__}]" if not isinstance(key, int) or key.bit_length() > 64 else f"[{key}]"
    return f".{key}" if len(key) <= _MAX_KEY and key.isidentifier() else f"[{key[:_MAX_KEY]!a}]"


def _moment_fault(value: Any, path: str) -> PayloadError | None:
    """What the text of a date with a time does not say."""
    if not isinstance(value, datetime | time) or value.tzinfo is None:
        return None
    offset = value.utcoffset()
    if offset is None:
        return _refuse(
            path, "is a time whose zone has no offset without a date", "Send a datetime, or the zone's name."
        )
    if offset % timedelta(minutes=1):
        return _refuse(path, f"has an offset with seconds ({offset})", "Convert it to UTC: value.astimezone(UTC).")
    return None


def _leaf_fault(value: Any, path: str, depth: int, max_depth: int) -> PayloadError | None:
    try:
        stand_in = encode_hook(value)
    except Lossy as loss:
        return _visit(loss.plain, path, depth, max_depth) or _lossy(value, path, loss)
    except Exception:  # user code may run in there, and msgspec may know the type without the hook
        stand_in = value
    if isinstance(stand_in, dict | list):
        return _visit(stand_in, path, depth, max_depth)
    try:
        ENCODER.encode(value)
    except Exception as exc:  # whatever it is, the value cannot be stored
        return _refuse(path, _description(value), _advice(value) or f"({_clip(str(exc))})")
    return None


def _lossy(value: Any, path: str, loss: Lossy) -> Unserializable:
    return Unserializable(
        f"{_clip(path + loss.path)}: {loss.problem}. {type(value).__qualname__} does not write all that it holds: give "
        "it a serializer whose text it can read back, or store something else (an id, `model_dump()`)."
    )


def _description(value: Any) -> str:
    if isinstance(value, int):
        return "is an integer of thousands of digits"
    return f"is a {type(value).__module__}.{type(value).__qualname__}"


def _advice(value: Any) -> str:
    kind = type(value)
    if isinstance(value, int):
        return "Send it as text."
    if hasattr(kind, "_meta") and hasattr(kind, "pk"):
        return "Pass its primary key and load the row in the step that needs it."
    if hasattr(value, "__await__"):
        return "Await it first."
    if isinstance(value, type) or callable(value):
        return "Pass the data that it is made from."
    if hasattr(kind, "__iter__"):
        return "Turn it into a list or dict."
    return "Use JSON types, a dataclass, a msgspec.Struct or a pydantic model."


def _text_fault(text: str, path: str) -> PayloadError | None:
    if (index := text.find("\0")) >= 0:
        return _refuse(
            path, f"has a NUL character at position {index}", "Databases cannot store it: remove it, or send bytes."
        )
    if surrogate := _SURROGATE.search(text):
        return _refuse(
            path,
            f"has a lone surrogate (U+{ord(surrogate.group()):04X}) at position {surrogate.start()}",
            'It is no Unicode text: decode it with errors="replace", or send bytes.',
        )
    return None


def _key_fault(value: dict[Any, Any], path: str) -> PayloadError | None:
    seen: dict[bytes, Any] = {}
    for key in value:
        if isinstance(key, str) and (fault := _text_fault(key, f"a key of {path}")):
            return fault
        if fault := _moment_fault(key, f"a key of {path}"):
            return fault
        try:
            written = ENCODER.encode({key: 0})
        except Exception:  # msgspec raises several types here, and a key may be anything
            return _refuse(path, f"has a key of type {type(key).__qualname__}", "Use texts, integers or enums as keys.")
        if written in seen:
            kinds = f"{type(seen[written]).__qualname__} and {type(key).__qualname__}"
            return _refuse(f"{path}{_subscript(key)}", f"is there twice, by keys of {kinds}", "Use keys of one type.")
        seen[written] = key
    return None


def _refuse(path: str, problem: str, advice: str) -> Unserializable:
    return Unserializable(f"{_clip(path)} {problem}, which cannot be stored as JSON. {advice}")


def _clip(text: str) -> str:
    return text if len(text) <= _MAX_PATH else f"{text[:_MAX_PATH]}…"
