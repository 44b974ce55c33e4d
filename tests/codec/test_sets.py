"""Sets have no order: their JSON may have another one when they come back."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import pytest

from django_workflows import codec
from django_workflows.exceptions import Unserializable


class Clashing(enum.Enum):
    """Members that cannot be compared, and fall into one slot of a set: whoever comes first ends up behind."""

    FIRST = "first"
    SECOND = "second"

    def __hash__(self) -> int:
        return 7


def test_a_set_of_what_has_no_order_comes_back() -> None:
    both = {Clashing.FIRST, Clashing.SECOND}
    text, seen = codec.round_trip(both, set[Clashing])
    assert seen == both == codec.decode(text, set[Clashing])


@dataclass
class Sizes:
    sizes: set[Clashing]


def test_a_field_that_would_be_lost_beside_such_a_set_is_still_noticed() -> None:
    value = {"sizes": {Clashing.FIRST, Clashing.SECOND}, "price": 1}
    with pytest.raises(Unserializable, match=r"\$\.price would be lost"):
        codec.round_trip(value, Sizes)
