"""One text for equal values, so that an event finds its waits through an index."""

from __future__ import annotations

import hashlib
from typing import Any

from django_workflows.codec.native import SORTING_ENCODER
from django_workflows.codec.payloads import to_json

# Above this, a float no longer names one integer.
_EXACT = 2**53


def canonical(value: Any) -> str:
    """Compact JSON with sorted keys, and 42.0 written as 42: equal JSON values have equal texts."""
    return SORTING_ENCODER.encode(_normal(to_json(value)[1])).decode()


def match_hash(value: Any) -> str:
    """A short hash (32 hexadecimal characters) of the canonical text."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def _normal(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: _normal(child) for key, child in plain.items()}
    if isinstance(plain, list):
        return [_normal(child) for child in plain]
    if isinstance(plain, float) and plain.is_integer() and abs(plain) <= _EXACT:
        return int(plain)
    return plain
