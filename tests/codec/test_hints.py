"""What a function declares."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import pytest

from django_workflows import codec
from django_workflows.codec.hints import UnresolvedHint, hints_of
from tests.codec import samples as s


class Service:
    def place(self, at: datetime) -> s.Order: ...  # type: ignore[empty-body]  # only its hints are read

    def __call__(self) -> s.Point: ...  # type: ignore[empty-body]  # as above


def decorated(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


def annotated() -> Annotated[int, {"unhashable": 1}]: ...  # type: ignore[empty-body]  # as above


@pytest.mark.parametrize(
    ("fn", "hint"),
    [
        (s.returns_order, s.Order),
        (s.returns_order_later, s.Order),
        (s.returns_awaitable, s.Order),
        (s.returns_coroutine, list[s.Order]),
        (s.returns_nothing, Any),
        (s.untyped, Any),
        (lambda: 1, Any),
        (len, Any),
        (print, Any),
        (Service().place, s.Order),
        (Service(), s.Point),
        (s.Order, s.Order),
        (functools.partial(s.returns_order), s.Order),
        (decorated(s.returns_order), s.Order),
        (decorated(s.returns_coroutine), list[s.Order]),
        (annotated, Annotated[int, {"unhashable": 1}]),
    ],
)
def test_the_hint_is_what_an_awaited_call_gives_back(fn: Callable[..., Any], hint: Any) -> None:
    assert codec.hint_of(fn) == hint
    assert codec.hint_of(fn) == hint


def test_a_name_that_only_type_checkers_know_leaves_the_other_hints_alone() -> None:
    assert hints_of(s.returns_unknown) == {"order": s.Order, "return": UnresolvedHint("Fraction")}


def test_a_callable_that_cannot_be_hashed_has_hints_too() -> None:
    class Unhashable(Service):
        __hash__ = None  # type: ignore[assignment]  # as a mutable dataclass

    assert codec.hint_of(Unhashable()) is s.Point
