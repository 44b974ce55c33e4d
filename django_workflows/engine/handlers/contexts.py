"""Context variables of bodies: what one sets there (a language, a time zone, a decimal precision) ends with it.

Django's `translation.activate()` and `timezone.activate()` are context variables too, and a thread is used again.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, TypeVar

from django.core.cache import caches

T = TypeVar("T")


def own_context() -> Context:
    """A copy of the caller's. What it holds may be changeable, as the decimal context is: that is copied as well."""
    context = copy_context()
    context.run(_copy_decimals)
    return context


def _copy_decimals() -> None:
    decimal.setcontext(decimal.getcontext().copy())


def in_context(fn: Callable[[], T]) -> Callable[[], T]:
    """`fn` in a copy of the context that the caller has now, for another thread."""
    context = own_context()
    return lambda: context.run(fn)


@coroutine
def awaited_in(context: Context, body: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await `body` in this task, with the variables of another context: a task of its own would cost more."""
    go_on: Callable[[Any], Any] = body.send
    answer: Any = None
    while True:
        try:
            future = context.run(go_on, answer)
        except StopIteration as stop:
            value: T = stop.value
            return value
        try:
            answer, go_on = (yield future), body.send
        except BaseException as error:
            answer, go_on = error, body.throw


def prepare_thread() -> None:
    """Make Django's caches in the context that all bodies of this thread copy: they keep their clients in a context
    variable, and each body would connect anew.
    """
    for alias in caches:
        with suppress(Exception):  # it cannot be used; who uses it is told so
            caches[alias]
