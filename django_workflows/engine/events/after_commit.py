"""What follows the commit of a start, a signal or an event: a wake-up, and with `EAGER` the progress itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_workflows import conf
from django_workflows.engine.database import notify


class Driver(Protocol):
    """Makes progress in the caller's process (`EAGER`)."""

    def drive(self, execution_id: UUID) -> None:
        """Go on with an execution until it has finished or waits for a moment or an input."""

    def dispatch(self, event_id: UUID) -> None:
        """Hand a published event to those who wait for it, and go on with them."""


class Ports:
    """The fulfilled protocol."""

    driver: Driver


ports = Ports()


def announce(
    alias: str,
    queues: Sequence[str],
    *,
    executions: Sequence[UUID] = (),
    event: UUID | None = None,
    priority: int | None = None,
) -> None:
    """After the caller's commit: drive these executions here when `EAGER` says so, and wake the workers of `queues`;
    `priority` is that of the executions, if all have one and are due.
    """
    if conf.eager():
        after_commit(alias, lambda: _drive(executions, event), in_tests=True)
    after_commit(alias, lambda: _wake(alias, queues, priority), in_tests=False)


def _drive(executions: Sequence[UUID], event: UUID | None) -> None:
    for execution_id in executions:
        ports.driver.drive(execution_id)
    if event is not None:
        ports.driver.dispatch(event)


def _wake(alias: str, queues: Sequence[str], priority: int | None) -> None:
    for queue in queues:
        notify.notify(queue, alias, priority=priority)


def after_commit(alias: str, action: Callable[[], None], *, in_tests: bool) -> None:
    """Call `action` when the caller's transaction has committed; a `TestCase` never does, so there at once."""
    connection = connections[alias]
    if in_tests and _in_test_case(connection):
        action()
    elif connection.in_atomic_block or connection.get_autocommit():
        connection.on_commit(action)
    # else the project commits by hand, which Django tells nobody: polling finds it


def _in_test_case(connection: BaseDatabaseWrapper) -> bool:
    """Whether the outermost transaction is a `TestCase`'s, to be rolled back."""
    outermost: Any = connection.atomic_blocks[0] if connection.atomic_blocks else None
    return bool(getattr(outermost, "_from_testcase", False))
