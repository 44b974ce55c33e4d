"""The one configured msgspec encoder and decoder, and what they are taught beyond msgspec's own types."""

from __future__ import annotations

from typing import Any

import msgspec
from django.utils.functional import Promise

DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


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
        # `round_trip` leaves out computed fields, which validation would refuse.
        return value.model_dump(mode="json", by_alias=True, round_trip=True)
    raise TypeError(f"no JSON form for {type(value).__qualname__}")


def decode_hook(hint: Any, value: Any) -> Any:
    """Bring back a class that msgspec does not know; ValueError and TypeError become errors with a path."""
    if is_pydantic(hint):
        if isinstance(value, hint):
            return value
        # From JSON, because a strict model accepts a datetime as text only there.
        return hint.model_validate_json(ENCODER.encode(value))
    if isinstance(hint, type) and isinstance(value, hint):
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
