"""Starts, signals and events survive what databases do to a transaction of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from django_workflows import client
from django_workflows.models import Event, Execution, Signal
from tests.client.samples import door_order

pytestmark = pytest.mark.django_db(transaction=True)


class Refused(Exception):
    """What the driver raises: `sqlstate` as psycopg has it."""

    sqlstate = "40001"


def refused() -> OperationalError:
    error = OperationalError("restart transaction")
    error.__cause__ = Refused()
    return error


def broken() -> OperationalError:
    error = OperationalError("server closed the connection unexpectedly")
    error.__cause__ = Refused()
    error.__cause__.sqlstate = "08006"
    return error


class Faults:
    """Raises errors around the statements that write."""

    def __init__(self, errors: list[Callable[[], Exception]], *, after: bool) -> None:
        self.errors, self.after = errors, after

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.strip().startswith(("INSERT", "UPDATE", "WITH")) or not self.errors:
            return execute(sql, params, many, context)
        if self.after:
            execute(sql, params, many, context)
        raise self.errors.pop(0)()


@contextmanager
def faults(*errors: Callable[[], Exception], after: bool = False) -> Iterator[Faults]:
    wrapper = Faults(list(errors), after=after)
    with connection.execute_wrapper(wrapper):
        yield wrapper
    assert wrapper.errors == []


def start() -> Any:
    return door_order.start(7)


def start_with_a_key() -> Any:
    return door_order.using(key="order-7", idempotency_key="import-7").start(7)


def start_many() -> Any:
    return client.start_many(door_order, [{"order_id": 7}])[0]


def publish() -> Any:
    return client.send_event("order.paid")


ACTS = [start, start_with_a_key, start_many, publish]


@pytest.mark.parametrize("act", ACTS)
def test_a_write_that_the_database_asks_to_repeat_is_repeated(act: Callable[[], Any]) -> None:
    """DBF-01: the caller sees no 40001 where no transaction of its own is open."""
    with faults(refused, refused, refused):
        given = act()
    assert type(given).objects.get() == given


@pytest.mark.parametrize("act", ACTS)
def test_a_connection_that_was_stale_is_renewed(act: Callable[[], Any]) -> None:
    """DBF-05."""
    with faults(broken):
        given = act()
    assert type(given).objects.get() == given


@pytest.mark.parametrize("act", [start, start_with_a_key, publish])
def test_a_commit_in_doubt_that_took_place_is_not_repeated(act: Callable[[], Any]) -> None:
    """DBF-04: it is read back by the id that was chosen here."""
    with faults(broken, after=True):
        given = act()
    assert type(given).objects.get() == given


def test_a_bulk_start_whose_connection_broke_before_the_commit_is_repeated() -> None:
    """DBF-04."""
    with faults(broken, after=True):
        given = start_many()
    assert Execution.objects.get() == given


@contextmanager
def commit_in_doubt(*, applied: bool) -> Iterator[None]:
    wrapper: Any = connections["default"]
    commit = wrapper._commit

    def break_once() -> None:
        del wrapper._commit
        if applied:
            commit()
        else:
            wrapper.connection.rollback()
        raise broken()

    wrapper._commit = break_once
    yield
    assert wrapper._commit == commit


@pytest.mark.parametrize("applied", [True, False])
def test_a_signal_whose_commit_is_in_doubt_is_sent_once(applied: bool) -> None:
    """DBF-04. Where it is one statement, the answer to that is what is lost."""
    execution = door_order.start(7)
    is_one = connections["default"].vendor != "sqlite"
    with faults(broken, after=applied) if is_one else commit_in_doubt(applied=applied):
        given = client.signal(execution, "approve", 7)
    assert Signal.objects.get() == given
    assert (given.number, Execution.objects.get().inbox) == (1, 1)


@pytest.mark.parametrize("applied", [True, False])
def test_a_bulk_start_whose_commit_is_in_doubt_is_done_once(applied: bool) -> None:
    """DBF-04."""
    with commit_in_doubt(applied=applied):
        given = client.start_many(door_order, [{"order_id": 1}, {"order_id": 2}])
    assert set(Execution.objects.all()) == set(given)
    assert [execution.input for execution in given] == [{"order_id": 1}, {"order_id": 2}]


@pytest.mark.parametrize("act", ACTS)
def test_inside_the_callers_transaction_nothing_is_repeated(act: Callable[[], Any]) -> None:
    """DBF-01: only the caller knows what else belongs to it."""
    with pytest.raises(OperationalError, match="restart"), transaction.atomic(), faults(refused):
        act()
    assert not Execution.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize("act", ACTS)
def test_a_database_that_stays_away_is_the_callers_error(act: Callable[[], Any]) -> None:
    with pytest.raises(OperationalError, match="closed"), faults(broken, broken, broken):
        act()
