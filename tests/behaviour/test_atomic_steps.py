"""Transactional steps: their writes and their result in one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper

from django_workflows import AsyncContext, Context, DefinitionError, ExecutionFailed, Retry, step, workflow
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter


def test_a_transactional_step_writes_and_is_remembered_in_one_commit(workflows: Workflows, colour: Colour) -> None:
    """STP-06: the row and the journal's row are there together, once."""

    @step(atomic=True)
    def book(name: str) -> int:
        Group.objects.create(name=name)
        return Group.objects.count()

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        return [await ctx.do(book, "first"), await ctx.do(book, "second")]

    execution = flow.start()
    assert workflows.result(execution) == [1, 2]
    workflows.assert_journal(execution, [("step", "book", "succeeded", 1), ("step", "book", "succeeded", 2)])


def test_a_failed_transactional_step_leaves_nothing(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-08: each attempt's writes are gone; the error is kept."""

    @step(atomic=True, retry=Retry(max_attempts=2))
    def book() -> None:
        Group.objects.create(name="half")
        counter.count()
        raise ValueError("no stock")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(book)

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match="no stock"):
        workflows.result(execution)
    assert (len(counter.calls), Group.objects.exists()) == (2, False)
    (row,) = workflows.journal(execution)
    assert (row.status, row.attempts, row.error["message"]) == ("failed", 2, "no stock")


def test_a_transactional_async_step_is_refused() -> None:
    """Semantics 13: Django has no transactions in async code."""
    with pytest.raises(DefinitionError, match="atomic=True needs a plain `def`"):

        @step(atomic=True)
        async def book() -> None: ...


@pytest.mark.django_db
def test_a_step_that_commits_inside_its_transaction_fails(workflows: Workflows) -> None:
    """Semantics 13: commit() inside a transactional step is an error of the step."""

    @step(atomic=True, retry=ONCE)
    def sly() -> None:
        transaction.commit()

    @workflow
    def flow(ctx: Context) -> None:
        ctx.do(sly)

    with pytest.raises(ExecutionFailed, match="TransactionManagementError"):
        workflows.result(flow.start())


@pytest.fixture
def other_database() -> Iterator[BaseDatabaseWrapper]:
    """A second database, without a single table."""
    engine = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {}}
    other = DatabaseWrapper({**connection.settings_dict, **engine}, "other")
    other.inc_thread_sharing()  # async workflows call their steps in another thread
    yield other
    other.close()


def _raise_by_hand(other: BaseDatabaseWrapper) -> None:
    raise OperationalError("the warehouse is closed")


def _ask_another(other: BaseDatabaseWrapper) -> None:
    with other.execute_wrapper(_is_gone), other.cursor() as cursor:
        cursor.execute("SELECT 1")


def _is_gone(*args: Any) -> None:
    raise OperationalError("server closed the connection unexpectedly")


def _ask_another_after_a_fault_of_ours(other: BaseDatabaseWrapper) -> None:
    with suppress(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")
    _ask_another(other)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", [_raise_by_hand, _ask_another, _ask_another_after_a_fault_of_ours])
def test_an_error_of_another_database_is_a_failure_of_the_step(
    workflows: Workflows, colour: Colour, counter: Counter, other_database: BaseDatabaseWrapper, fault: Any
) -> None:
    """It says nothing about the transaction of the step, so it is no reason to begin that again, and again."""

    @step(atomic=True, retry=Retry(max_attempts=2))
    def book() -> None:
        Group.objects.create(name="half")
        counter.count()
        fault(other_database)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(book)

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match="closed"):
        workflows.result(execution)
    assert (len(counter), Group.objects.exists()) == (2, False)
    (row,) = workflows.journal(execution)
    assert (row.attempts, row.error["type"], row.error.get("cause")) == (2, "OperationalError", None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("then", [lambda: None, Group.objects.count])
def test_a_step_that_closes_the_connection_of_its_transaction_fails(workflows: Workflows, then: Any) -> None:
    """Its writes are gone, and would be every time."""

    @step(atomic=True, retry=ONCE)
    def careless() -> None:
        connection.close()
        then()

    @workflow
    def flow(ctx: Context) -> None:
        ctx.do(careless)

    with pytest.raises(ExecutionFailed, match="ClosedConnection"):
        workflows.result(flow.start())


def _execute(statement: str) -> Callable[[], None]:
    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    end.__name__ = statement
    return end


def _commit_through_the_driver() -> None:
    connection.connection.commit()


def _roll_back_through_the_driver() -> None:
    connection.connection.rollback()


def _commit_and_begin() -> None:
    _execute("COMMIT")()
    _execute("BEGIN")()


ENDS = [_execute("ROLLBACK"), _execute("COMMIT"), _commit_through_the_driver, _roll_back_through_the_driver]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("then", ["nothing", "more"])
@pytest.mark.parametrize("end", [*ENDS, _commit_and_begin], ids=lambda end: end.__name__)
def test_a_step_that_ends_its_own_transaction_has_not_succeeded(
    workflows: Workflows, colour: Colour, counter: Counter, end: Callable[[], None], then: str
) -> None:
    """Promise 3: its writes and its result would not be one commit. It is not tried again, as it would be no better."""

    @step(atomic=True)
    def sly() -> str:
        counter.count()
        Group.objects.create(name="before")
        end()
        if then == "more":
            Group.objects.create(name="after")
        return "done"

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(sly)

    with pytest.raises(ExecutionFailed, match="EndedTransaction"):
        workflows.result(flow.start())
    assert len(counter) == 1
    assert connection.get_autocommit()
    assert not connection.in_atomic_block


@pytest.mark.django_db(transaction=True)
def test_savepoints_of_a_step_are_its_own_affair(workflows: Workflows, colour: Colour) -> None:
    @step(atomic=True)
    def book() -> None:
        Group.objects.create(name="kept")
        with suppress(LookupError), transaction.atomic():
            Group.objects.create(name="undone")
            raise LookupError
        with transaction.atomic():
            Group.objects.create(name="inner")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(book)

    workflows.result(flow.start())
    assert set(Group.objects.values_list("name", flat=True)) == {"kept", "inner"}


@pytest.mark.django_db(transaction=True)
def test_a_step_that_marks_its_transaction_for_rollback_has_not_succeeded(workflows: Workflows, colour: Colour) -> None:
    @step(atomic=True, retry=ONCE)
    def book() -> None:
        Group.objects.create(name="half")
        transaction.set_rollback(True)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(book)

    with pytest.raises(ExecutionFailed, match="TransactionManagementError"):
        workflows.result(flow.start())
    assert not Group.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_hook_that_fails_after_the_commit_is_told_and_is_no_failed_attempt(
    workflows: Workflows, colour: Colour, counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    """The step is stored; the hooks after the failing one are called."""

    def send_mail() -> None:
        raise ConnectionError("mail server down")

    @step(atomic=True)
    def pay() -> str:
        Group.objects.create(name="paid")
        transaction.on_commit(send_mail)
        transaction.on_commit(counter.count)
        return "paid"

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(pay)

    execution = flow.start()
    assert workflows.result(execution) == "paid"
    assert (Group.objects.count(), len(counter)) == (1, 1)
    titles = [entry["title"] for entry in execution.history()]
    assert "Step pay is done; what it had called after the commit failed: ConnectionError" in titles
    assert not [title for title in titles if "attempt" in title]
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "send_mail" in record.getMessage()
