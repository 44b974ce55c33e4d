"""Keys that are made of others."""

from __future__ import annotations

import pytest

from django_workflows.authoring.names import KEY_LENGTH, numbered_key, problem_with


@pytest.mark.parametrize("length", [1, KEY_LENGTH - 5, KEY_LENGTH - 3, KEY_LENGTH - 2, KEY_LENGTH - 1, KEY_LENGTH])
def test_numbered_keys_are_keys_and_differ_where_their_parts_do(length: int) -> None:
    """A key that differs in its first letter alone, and in its last."""
    keys = ["a" * length, "b" + "a" * (length - 1), "a" * (length - 1) + "b" if length > 1 else "c"]

    found = [numbered_key(key, number) for key in keys for number in (0, 9, 10, 99, 100)]

    assert len(set(found)) == len(found)
    assert [problem_with(key, KEY_LENGTH) for key in found] == [None] * len(found)


def test_a_short_one_can_be_read() -> None:
    assert numbered_key("order-42", 3) == "order-42#3"
