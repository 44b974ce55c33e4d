"""The one configured msgspec encoder and decoder, and what they are taught beyond msgspec's own types."""

from __future__ import annotations

from typing import Any, get_origin

import msgspec
from django.utils.functional import Promise

from django_workflows.codec.fidelity import difference
from django_workflows.codec.records import names_of

DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Lossy(TypeError):
    """An object's own JSON does not tell all that it holds; `path` leads to the place, below the object.

    `plain` is what it wrote, if the reason may be found in that.
    """

    def __init__(self, path: str, problem: str, plain: Any = None) -> None:
        self.path, self.problem, self.plain = path, problem, plain
        super().__init__(f"{path.lstrip('.')}: {problem}")


def encode_hook(value: Any) -> Any:
    """Stand-ins for what msgspec does not know: subclasses of plain types, lazy translations, pydantic models.

    Raises TypeError for everything else.
    """
    # The base class's own methods give an exact str, int or float, whatever the subclass overrides.
    if isinstance(value, str):
        return str.__str__(value)
    # A bool only gets here as a key: True would come back as 1.
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Promise):
        return str(value)
    if hasattr(type(value), "model_dump") and is_pydantic(type(value)):
        return _dumped(value)
    raise TypeError(f"no JSON form for {type(value).__qualname__}")


def _dumped(model: Any) -> Any:
    """What a pydantic model makes of itself, if it can be made from that again; else `Lossy`."""
    try:
        plain = _dump(model)
    except ValueError as exc:
        raise Lossy(_unwritable_field(model), str(exc)) from exc
    try:
        again = type(model).model_validate_json(ENCODER.encode(plain))
    except ValueError as exc:
        errors: list[Any] = getattr(exc, "errors", list)()  # pydantic's own quotes the value, which may be a secret
        place = "".join(f".{part}" for part in errors[0]["loc"]) if errors else ""
        raise Lossy(place, "what the model writes it cannot read", plain) from None
    if (found := difference(model, again)) is not None:
        raise Lossy(*found)
    return plain


def _dump(model: Any, **options: Any) -> Any:
    # `round_trip` leaves out computed fields, which validation would refuse.
    return model.model_dump(mode="json", by_alias=True, round_trip=True, **options)


def _unwritable_field(model: Any) -> str:
    kind: type = type(model)
    for name in names_of(kind) or ():
        try:
            _dump(model, include={name})
        except ValueError:
            return f".{name}"
    return ""


def decode_hook(hint: Any, value: Any) -> Any:
    """Bring back a class that msgspec does not know; ValueError and TypeError become errors with a path."""
    if is_pydantic(hint):
        if isinstance(value, hint):
            return value
        # From JSON, because a strict model accepts a datetime as text only there.
        return hint.model_validate_json(ENCODER.encode(value))
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise TypeError(f"{getattr(hint, '__qualname__', hint)} cannot be brought back from JSON")


def is_pydantic(cls: Any) -> bool:
    """Whether a class has pydantic's two methods; pydantic itself is never imported."""
    return hasattr(cls, "model_dump") and hasattr(cls, "model_validate_json")


ENCODER = msgspec.json.Encoder(enc_hook=encode_hook)
# Sorts the keys of dicts and the members of sets, so that equal values have equal texts.
SORTING_ENCODER = msgspec.json.Encoder(enc_hook=encode_hook, order="sorted")
# MessagePack can hold NaN, which JSON turns into null without a word.
PACKER = msgspec.msgpack.Encoder(enc_hook=encode_hook)
