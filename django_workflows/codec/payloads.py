"""Values to JSON text and back.

What is stored is what the first run sees: `round_trip` gives the value that every replay will get. Hints bring back
dataclasses, structs, datetimes, Decimals, UUIDs, enums, sets, tuples; without one, or with one made of JSON types only,
it is plain JSON. Nothing is lost silently: what JSON cannot hold is refused, with its path.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from django_workflows.codec.faults import find_fault, too_deep
from django_workflows.codec.fidelity import difference
from django_workflows.codec.hints import Kind, Reader, describe, reader_for
from django_workflows.codec.native import DECODER, ENCODER, PACKER, SORTING_ENCODER
from django_workflows.codec.records import has_left_out
from django_workflows.exceptions import PayloadError, PayloadTooLarge, Unserializable

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64

SCALARS = frozenset({type(None), bool, int, float, str})

# A double whose exponent bits are all ones. Inside a text these bytes would be no UTF-8.
_PACKED_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
# Moments that msgspec may have rounded: an offset that may have had seconds, a time that may have had a zone.
_ROUNDED_MOMENT = re.compile(rb'\d[+-]\d\d:\d\d"|"\d\d:\d\d:\d\d(?:\.\d+)?"')
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")


def encode(value: Any, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> str:
    """The JSON text of a value.

    Raises `PayloadTooLarge` above `max_bytes` of UTF-8, `PayloadTooDeep` above `max_depth` nested lists and objects,
    and `Unserializable` for what has no lossless JSON form: NaN, infinity, NUL, lone surrogates, arbitrary objects,
    keys that collide.
    """
    data, plain = to_json(value, max_bytes, max_depth)
    if not _equals(value, plain):
        _refuse_omissions(value, max_depth)
    return data.decode()


def decode(text: str | bytes, type_hint: Any = Any) -> Any:
    """The value of a JSON text, as the type that `type_hint` says.

    A hint made of JSON types only changes nothing, and one that JSON cannot bring back (an arbitrary class, a union
    such as `str | date`) gives plain JSON. `null` is None for every hint. Raises `PayloadError` when the text is no
    JSON or does not fit the hint.
    """
    if type_hint is not Any and (reader := reader_for(type_hint)).kind is Kind.TYPED:
        return _decode_typed(text, reader)
    try:
        return DECODER.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise PayloadError(f"The stored text is not the JSON it should be: {exc}") from exc


def round_trip(
    value: Any, type_hint: Any = Any, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH
) -> tuple[str, Any]:
    """The JSON text of a value, and the value as `decode(text, type_hint)` will give it back.

    Raises what `encode` raises, and `Unserializable` when the hint cannot bring the value back as what it is.
    """
    data, plain = to_json(value, max_bytes, max_depth)
    if value is None or (type(value) in SCALARS and (type_hint is Any or type(value) is type_hint)):
        return data.decode(), plain
    reader = reader_for(type_hint)
    if reader.kind is Kind.TYPED:
        return data.decode(), read_back(value, data, reader)
    if reader.kind is Kind.UNREADABLE and not _is_json(value, plain):
        raise Unserializable(
            f"A value of type {type(value).__qualname__} cannot be brought back by its type hint "
            f"{describe(type_hint)}: {reader.problem}. Declare a type that JSON can tell apart, or return JSON types."
        )
    if reader.kind is Kind.PLAIN and not _equals(value, plain):
        _refuse_omissions(value, max_depth)
        if type_hint is not Any and type_hint is not None:
            _decoded(value, data, reader)  # a Decimal is no float: its JSON is text
    return data.decode(), plain


def to_json(value: Any, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> tuple[bytes, Any]:
    """The checked JSON of a value, and its plain form: what `decode` without a hint gives."""
    try:
        data = ENCODER.encode(value)
    except Exception as exc:  # msgspec raises several types, and user code may run in the hooks
        raise find_fault(value, max_depth=max_depth) or Unserializable(f"$ cannot be stored as JSON: {exc}") from exc
    if len(data) > max_bytes:
        raise PayloadTooLarge(
            f"The value is {len(data):,} bytes of JSON; at most {max_bytes:,} are allowed. Store it elsewhere (a file, "
            f'a model) and pass its id. The limit is WORKFLOWS["MAX_PAYLOAD_BYTES"].'
        )
    # Without the escaped backslashes, which make six harmless characters of `\\u0000`, only NUL is written so.
    if b"\\u0000" in data and b"\\u0000" in data.replace(b"\\\\", b""):
        raise find_fault(value, max_depth=max_depth) or Unserializable("$ has a NUL character. Remove it.")
    if b"null" in data and value is not None and _may_hold_nan(value):
        _raise_fault(value, max_depth)
    if type(value) in SCALARS:
        return data, value
    if type(value) is list and SCALARS.issuperset(map(type, value)):
        return data, value.copy()
    # Two brackets per level: short texts cannot be too deep.
    if len(data) > 2 * max_depth and _is_deeper(data, max_depth):
        raise find_fault(value, max_depth=max_depth) or too_deep("$", max_depth)
    return data, _plain(value, data, max_depth)


def _plain(value: Any, data: bytes, max_depth: int) -> Any:
    try:
        plain = DECODER.decode(data)
    except Exception as exc:  # only a `msgspec.Raw` can hold what is no JSON
        raise Unserializable(f"$ holds raw text that is not JSON: {exc}") from exc
    # Keys like 1 and "1" fall together, and one value would be lost: the text shrinks.
    if len(ENCODER.encode(plain)) != len(data):
        _raise_fault(value, max_depth)
    if _ROUNDED_MOMENT.search(data) and not _equals(value, plain):
        _raise_fault(value, max_depth)
    return plain


def _equals(before: Any, after: Any) -> bool:
    """At the speed of `==`, which may be foreign code."""
    try:
        return bool(before == after)
    except Exception:
        return False


def _refuse_omissions(value: Any, max_depth: int) -> None:
    """Whoever gets plain JSON cannot see what was left out of it."""
    if has_left_out(value):
        _raise_fault(value, max_depth)


def _raise_fault(value: Any, max_depth: int) -> None:
    if fault := find_fault(value, max_depth=max_depth):
        raise fault


def _may_hold_nan(value: Any) -> bool:
    """Whether a float may be NaN or infinite, which msgspec writes as null. False alarms only cost a walk."""
    try:
        return _PACKED_NOT_FINITE.search(PACKER.encode(value)) is not None
    except Exception:  # MessagePack is narrower than JSON, for integers above 64 bits for one
        return True


def _is_deeper(data: bytes, max_depth: int) -> bool:
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return False
    brackets = _STRINGS.sub(b"", data).translate(_TO_SQUARE, _NOT_BRACKETS)
    # Each pass takes away the innermost pairs, one level.
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return True


def _decode_typed(text: str | bytes, reader: Reader) -> Any:
    if text in ("null", b"null"):
        return None
    try:
        return reader.decoder.decode(text)  # type: ignore[union-attr]  # a typed reader has one
    except Exception as exc:  # constructors of user classes run in there
        raise PayloadError(
            f"The stored JSON does not fit the type {describe(reader.hint)}: {exc}. If the type was changed after this "
            f"was stored, give new fields a default and keep the old names."
        ) from exc


def read_back(value: Any, data: bytes, reader: Reader) -> Any:
    """The value that a typed reader makes of `data`, the JSON of `value`; `Unserializable` if any of it is lost."""
    typed = _decoded(value, data, reader)
    # An instance of a subclass, or a dict, may have fields that the hint knows nothing of.
    if ENCODER.encode(typed) != data and (lost := _lost(_sorted(value), _sorted(typed), "$")):
        raise _unlike(value, f"{lost} would be lost, because the type hint says {describe(reader.hint)}.")
    if not _equals(value, typed) and (found := difference(value, typed)) is not None:
        raise _unlike(value, f"${found.path}: {found.problem}. The type hint says {describe(reader.hint)}.")
    return typed


def _decoded(value: Any, data: bytes, reader: Reader) -> Any:
    try:
        return reader.decoder.decode(data)  # type: ignore[union-attr]  # only an unreadable hint has none
    except Exception as exc:  # constructors of user classes run in there
        hint = describe(reader.hint)
        problem = f"A value of type {type(value).__qualname__} does not fit the type hint {hint}: {exc}."
        raise _unlike(value, problem) from exc


def _unlike(value: Any, problem: str) -> PayloadError:
    """The error for a value that does not come back; a reason that lies in the value says more than the hint."""
    return find_fault(value, max_depth=MAX_DEPTH) or Unserializable(f"{problem} Make the hint say what is given.")


def _sorted(value: Any) -> Any:
    """The plain form of a value, in which equal sets have one order."""
    try:
        return DECODER.decode(SORTING_ENCODER.encode(value))
    except TypeError:  # a set of what has no order, such as enums: then by their JSON, and lists with them
        return _canonical(DECODER.decode(ENCODER.encode(value)))


def _canonical(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: _canonical(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return sorted(map(_canonical, plain), key=SORTING_ENCODER.encode)
    return plain


def _lost(before: Any, after: Any, path: str) -> str:
    """The path of the first object key that is gone, or an empty text."""
    if isinstance(before, dict) and isinstance(after, dict):
        gone = next((key for key in before if key not in after), None)
        if gone is not None:
            return f"{path}.{gone[:60]}"
        return next((lost for key in before if (lost := _lost(before[key], after[key], f"{path}.{key}"))), "")
    if isinstance(before, list) and isinstance(after, list):
        pairs = enumerate(zip(before, after, strict=False))
        return next((lost for i, (one, two) in pairs if (lost := _lost(one, two, f"{path}[{i}]"))), "")
    return ""


def _is_json(value: Any, plain: Any) -> bool:
    """Whether a value is plain JSON already, type for type."""
    if type(value) is not type(plain):
        return False
    if isinstance(value, dict):
        return value.keys() == plain.keys() and all(_is_json(child, plain[key]) for key, child in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value, plain))
    return bool(value == plain)
