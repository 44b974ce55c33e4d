"""Classes with fields: which of them a value has, and what of them JSON leaves out.

Pydantic and attrs are never imported: their classes are known by what they carry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

_CACHE_SIZE = 4096


def fields_of(value: Any) -> Mapping[str, Any] | None:
    """The fields of a value by their names in Python, or None when its class has none."""
    kind: type = type(value)
    names = names_of(kind)
    if names is None:
        return None
    found = {name: getattr(value, name) for name in names if hasattr(value, name)}
    for further in ("__pydantic_extra__", "__pydantic_private__"):
        found.update(getattr(value, further, None) or {})
    return found


@lru_cache(_CACHE_SIZE)
def names_of(cls: type) -> tuple[str, ...] | None:
    """The names of the fields that a class declares."""
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_fields__
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    if hasattr(cls, "__attrs_attrs__"):
        return tuple(field.name for field in cls.__attrs_attrs__)
    if hasattr(cls, "__pydantic_fields__"):
        return tuple(cls.__pydantic_fields__)
    return None


def left_out(value: Any) -> str | None:
    """The private attribute of an attrs object that its JSON will not have, unless it is at its default anyway."""
    kind: type = type(value)
    if not (private := _private_attributes(kind)):
        return None
    return next((field.name for field in private if not _is_default(field, getattr(value, field.name, None))), None)


def has_left_out(value: Any) -> bool:
    """Whether anything in a value, however deep, has left something out."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            todo.extend(item)
        elif (fields := fields_of(item)) is not None:
            if left_out(item) is not None:
                return True
            todo.extend(fields.values())
    return False


@lru_cache(_CACHE_SIZE)
def _private_attributes(cls: type) -> tuple[Any, ...]:
    """msgspec skips them, as attrs names their parameters otherwise."""
    if issubclass(cls, msgspec.Struct) or dataclasses.is_dataclass(cls):
        return ()
    return tuple(field for field in getattr(cls, "__attrs_attrs__", ()) if field.name.startswith("_"))


def _is_default(field: Any, value: Any) -> bool:
    default = field.default
    try:
        if hasattr(default, "factory"):
            default = None if default.takes_self else default.factory()
        return type(default) is type(value) and bool(default == value)
    except Exception:  # a factory, and a comparison, are foreign code
        return False
