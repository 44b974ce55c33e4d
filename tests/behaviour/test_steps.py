"""Steps: run once, remembered, told apart by their place in the code."""

from __future__ import annotations

import functools
import threading
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from django_workflows import (
    AsyncContext,
    Context,
    DefinitionError,
    ExecutionFailed,
    InvalidInput,
    NonRetryable,
    Retry,
    StepFailed,
    current_step,
    step,
    workflow,
)
from django_workflows.models import Execution, Status, StepResult
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour

ONCE = Retry(max_attempts=1)


class Counter:
    """Something outside that counts what is done to it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def count(self, value: Any = None) -> int:
        self.calls.append(value)
        return len(self.calls)


@pytest.fixture
def counter() -> Counter:
    return Counter()


def test_completed_steps_are_not_run_again(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-01: three steps, three effects, however often the execution is replayed."""

    @colour()
    async def three(ctx: AsyncContext) -> list[int]:
        results = []
        for name in "abc":
            results.append(await ctx.do(counter.count, name))
            await ctx.sleep("1 day")
        return results

    assert workflows.result(three.start()) == [1, 2, 3]
    assert counter.calls == ["a", "b", "c"]


def test_a_step_in_a_loop_is_told_apart_by_its_position(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-04: call n gets result n."""

    def square(n: int) -> int:
        counter.count(n)
        return n * n

    @colour()
    async def squares(ctx: AsyncContext) -> list[int]:
        return [await ctx.do("work", square, n) for n in range(5)]

    execution = squares.start()
    assert workflows.result(execution) == [0, 1, 4, 9, 16]
    assert counter.calls == [0, 1, 2, 3, 4]
    workflows.assert_journal(execution, [("step", "work", "succeeded", n * n) for n in range(5)])


def test_a_worker_that_dies_between_effect_and_commit(workflows: Workflows, counter: Counter) -> None:
    """STP-02: the body runs again with the same idempotency key; one result, and the lost attempt is visible."""
    keys: list[str] = []

    @step
    def charge(order: int) -> str:
        keys.append(current_step().idempotency_key)
        if counter.count(current_step().attempt) == 1:
            raise SystemExit("killed")
        return "paid"

    @workflow
    def order(ctx: Context, number: int) -> str:
        return ctx.do(charge, number)

    execution = order.start(7)
    with pytest.raises(SystemExit):
        workflows.run_until_idle()
    assert not StepResult.objects.exists()
    assert workflows.run_until_idle() == 0  # its lease lasts
    assert workflows.result(execution) == "paid"
    assert (len(set(keys)), counter.calls) == (1, [1, 2])
    (row,) = workflows.journal(execution)
    assert (row.status, row.attempts) == ("succeeded", 2)
    assert StepResult.objects.get(execution=execution.id).lost == 1


def test_a_lost_attempt_uses_up_none_of_the_policy(workflows: Workflows, counter: Counter) -> None:
    """Semantics 4: max_attempts=1 forbids another try after an error, not after a lost worker."""

    @step(retry=ONCE)
    def fragile() -> str:
        if counter.count() == 1:
            raise SystemExit
        return "ok"

    @workflow
    def flow(ctx: Context) -> str:
        return ctx.do(fragile)

    execution = flow.start()
    with pytest.raises(SystemExit):
        workflows.run_until_idle()
    assert workflows.result(execution) == "ok"


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


def test_a_step_that_calls_a_step_is_one_step(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-09: inside a body a step is a plain function; positions do not shift."""

    @step
    def inner(n: int) -> int:
        counter.count(n)
        return n + 1

    @step
    def outer(n: int) -> int:
        return inner(n) + inner(n + 10)

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        return [await ctx.do(outer, 1), await ctx.do(inner, 5)]

    execution = flow.start()
    assert workflows.result(execution) == [14, 6]
    workflows.assert_journal(execution, [("step", "outer", "succeeded", 14), ("step", "inner", "succeeded", 6)])
    assert [row.key for row in workflows.journal(execution)] == ["1", "2"]


@pytest.mark.django_db
def test_a_step_outside_an_execution_is_a_function() -> None:
    """STP-10: nothing is stored, and current_step() says that there is none."""

    @step
    def double(n: int) -> int:
        return 2 * n

    assert double(4) == 8
    assert not StepResult.objects.exists()
    assert not Execution.objects.exists()
    with pytest.raises(Exception, match="plain call"):
        current_step()


def test_the_time_a_uuid_and_a_random_number_are_remembered(workflows: Workflows, colour: Colour) -> None:
    """STP-12: a replay an hour later sees the same; another execution others."""
    seen: list[tuple[Any, ...]] = []

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        values = await ctx.now(), await ctx.uuid(), await ctx.random()
        seen.append(values)
        await ctx.sleep("1 hour")

    first = flow.start()
    workflows.result(first)
    assert len(seen) > 1
    assert len(set(seen)) == 1
    assert [type(value).__name__ for value in seen[0]] == ["datetime", "UUID", "float"]
    seen.clear()
    second = flow.start()
    workflows.result(second)
    assert workflows.journal(first)[1].output != workflows.journal(second)[1].output


def test_a_failed_step_stays_failed(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-13: after its last attempt it is not tried again; a replay raises the same at the same place."""
    seen: list[tuple[str, str, int]] = []

    def fail() -> None:
        counter.count()
        raise ConnectionError("provider down")

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(step(fail, retry=Retry(max_attempts=3)))
        except StepFailed as error:
            seen.append((error.type, error.message, error.attempts))
        await ctx.sleep("1 day")
        return "went on"

    assert workflows.result(flow.start()) == "went on"
    assert len(counter.calls) == 3
    assert len(seen) > 1
    assert set(seen) == {("ConnectionError", "provider down", 3)}


def test_a_caught_failure_does_not_fail_the_workflow(workflows: Workflows, colour: Colour) -> None:
    """STP-14: the failed step stays visible."""

    def fail() -> None:
        raise NonRetryable("card stolen")

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(fail)
        except StepFailed:
            return "fallback"
        return "paid"

    execution = flow.start()
    assert workflows.result(execution) == "fallback"
    workflows.assert_journal(execution, [("step", "fail", "failed")])


def test_the_original_exception_is_the_cause_on_the_turn_that_ran_the_step(workflows: Workflows) -> None:
    """Semantics 5: on a replay there is none, the words stay."""
    causes: list[Any] = []

    def fail() -> None:
        raise NonRetryable("no")

    @workflow
    def flow(ctx: Context) -> None:
        try:
            ctx.do(fail)
        except StepFailed as error:
            causes.append((type(error.__cause__), error.message, "raise NonRetryable" in error.traceback))
        ctx.sleep("1 day")

    workflows.result(flow.start())
    assert causes[0] == (NonRetryable, "no", True)
    assert causes[-1] == (type(None), "no", True)


class Shelf:
    def __init__(self, size: int) -> None:
        self.size = size

    def double(self, n: int) -> int:
        return self.size * n

    @classmethod
    def of_class(cls, n: int) -> int:
        return 2 * n

    @staticmethod
    def of_nothing(n: int) -> int:
        return 2 * n

    def __call__(self, n: int) -> int:
        return self.size * n


def logged(fn: Any) -> Any:
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


@logged
def wrapped(n: int) -> int:
    return 2 * n


async def awaited(n: int) -> int:
    return 2 * n


STEPS = {
    "bound method": Shelf(2).double,
    "class method": Shelf.of_class,
    "static method": Shelf.of_nothing,
    "callable object": Shelf(2),
    "partial": functools.partial(pow, exp=1),
    "lambda": lambda n: 2 * n,
    "wrapped": wrapped,
    "async": awaited,
    "async partial": functools.partial(awaited),
    "step of a method": step(Shelf(2).double, retry=ONCE),
}


@pytest.mark.parametrize("kind", STEPS)
def test_any_callable_is_a_step(workflows: Workflows, colour: Colour, kind: str) -> None:
    """STP-16: functions, methods, partials, lambdas, wrapped ones, in both colours."""

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        return [await ctx.do(STEPS[kind], 4), await ctx.do("labelled", STEPS[kind], 5)]

    assert workflows.result(flow.start()) in ([8, 10], [4, 5])


def test_what_cannot_be_a_step_or_a_workflow_is_refused_where_it_is_written() -> None:
    """STP-16: at registration."""
    with pytest.raises(DefinitionError, match="is a method"):

        class _Steps:
            @step
            def charge(self) -> None: ...

    with pytest.raises(DefinitionError, match="generator"):

        @workflow
        def yields(ctx: Context) -> Any:
            yield 1

    with pytest.raises(DefinitionError, match="first parameter is the context"):

        @workflow  # type: ignore[call-overload]  # refused by mypy too
        def nothing() -> None: ...


def test_the_number_of_steps_is_limited(workflows: Workflows, colour: Colour, settings: Any) -> None:
    """STP-17: 20 are fine, 21 fail once with the name of the limit."""
    settings.WORKFLOWS = {"MAX_STEPS": 20}

    @colour()
    async def many(ctx: AsyncContext, count: int) -> int:
        for n in range(count):
            await ctx.do(abs, n)
        return count

    assert workflows.result(many.start(20)) == 20
    execution = many.start(21)
    with pytest.raises(ExecutionFailed, match="MAX_STEPS"):
        workflows.result(execution)
    assert len(workflows.journal(execution)) == 20


def test_a_limit_is_no_business_of_an_error_policy(workflows: Workflows, colour: Colour, settings: Any) -> None:
    """STP-17: not even on_error="pause" keeps an execution that can never finish."""
    settings.WORKFLOWS = {"MAX_STEPS": 2}

    @colour(on_error="pause")
    async def many(ctx: AsyncContext) -> None:
        for n in range(3):
            await ctx.do(abs, n)

    execution = many.start()
    with pytest.raises(ExecutionFailed, match="MAX_STEPS"):
        workflows.result(execution)


def test_recorded_times_do_not_change(workflows: Workflows, colour: Colour) -> None:
    """STP-18: what is over keeps its times through every replay."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(abs, 1)
        await ctx.sleep("1 hour")
        await ctx.do(abs, 2)

    execution = flow.start()
    workflows.run_until_idle()
    before = workflows.journal(execution)[0]
    workflows.run_to_end()
    assert workflows.journal(execution)[0] == before


def test_changing_a_result_does_not_change_what_is_stored(workflows: Workflows, colour: Colour) -> None:
    """STP-20: every replay starts from what the step returned."""
    seen: list[list[int]] = []

    def give() -> list[int]:
        return [1, 2]

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        numbers = await ctx.do(give)
        seen.append(list(numbers))
        numbers.append(3)
        await ctx.sleep("1 hour")

    execution = flow.start()
    workflows.result(execution)
    assert len(seen) > 1
    assert all(numbers == [1, 2] for numbers in seen)
    assert workflows.journal(execution)[0].output == [1, 2]


def test_a_workflow_may_change_what_it_gave_to_a_step(workflows: Workflows, colour: Colour) -> None:
    """What the body returned is stored as it was then."""

    def same(numbers: list[int]) -> list[int]:
        return numbers

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        numbers = [1]
        result = await ctx.do(same, numbers)
        numbers.append(2)
        await ctx.sleep("1 hour")
        return result

    assert workflows.result(flow.start()) == [1]


def test_a_step_is_found_by_its_registered_name(workflows: Workflows, colour: Colour) -> None:
    @step(name="send mail")
    def send(to: str, subject: str = "hello") -> str:
        return f"{subject} {to}"

    @colour()
    async def flow(ctx: AsyncContext) -> list[str]:
        by_name = await ctx.do("send mail", "ada", subject="hi")
        labelled = await ctx.do("a label", "send mail", "bob")
        return [by_name, labelled]

    execution = flow.start()
    assert workflows.result(execution) == ["hi ada", "hello bob"]
    assert [row.name for row in workflows.journal(execution)] == ["send mail", "a label"]


def test_a_name_that_nobody_registered_fails_clearly(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do("no such step")

    with pytest.raises(ExecutionFailed, match="no step is registered under this name"):
        workflows.result(flow.start())


GOOD_NAMES = ["réservation ✓", "📦", "a" * 200, "מחסן", "../step"]
BAD_NAMES = ["", "   ", "a" * 10_000, "line\nbreak", "nul\x00", "\x1b[31m", "\ud800"]


@pytest.mark.parametrize("name", GOOD_NAMES, ids=ascii)
def test_a_name_may_be_any_short_printable_text(workflows: Workflows, colour: Colour, name: str) -> None:
    """EXE-14: emoji and other scripts are text."""

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        await ctx.sleep(name, "1 hour")
        return await ctx.do(name, abs, -7)

    execution = flow.using(key=name).start()
    assert workflows.result(execution) == 7
    workflows.assert_journal(execution, [("sleep", name, "succeeded"), ("step", name, "succeeded", 7)])


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:20])
def test_a_name_that_no_database_would_hold_is_refused(workflows: Workflows, colour: Colour, name: str) -> None:
    """EXE-14: empty, 10 kB, control characters, lone surrogates: a field error, nothing half stored."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(name, abs, -7)

    with pytest.raises(InvalidInput):
        flow.using(key=name).start()
    execution = flow.start()
    with pytest.raises(ExecutionFailed, match=r"must not|must have"):
        workflows.result(execution)
    assert workflows.journal(execution) == []


def test_a_context_belongs_to_its_thread(workflows: Workflows) -> None:
    """A second thread that uses the context of the first gets an error, not a wrong position."""
    errors: list[BaseException] = []

    @workflow
    def flow(ctx: Context) -> int:
        def use() -> None:
            try:
                ctx.do(abs, 1)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return ctx.do(abs, -2)

    execution = flow.start()
    assert workflows.result(execution) == 2
    assert {type(error).__name__ for error in errors} == {"ContextMisuse"}
    assert [row.key for row in workflows.journal(execution)] == ["1"]


def test_a_context_cannot_be_used_inside_a_step(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        def body() -> None:
            getattr(ctx, "_target", ctx).do(abs, 1)

        await ctx.do(step(body, retry=ONCE))

    with pytest.raises(ExecutionFailed, match="ContextMisuse"):
        workflows.result(flow.start())


def test_a_context_ends_with_its_turn(workflows: Workflows, colour: Colour) -> None:
    """Kept and used after the end it says so and does nothing."""
    kept: list[Any] = []

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        kept.append(getattr(ctx, "_target", ctx))

    execution = flow.start()
    workflows.result(execution)
    with pytest.raises(Exception, match="after its turn had ended"):
        kept[0].do(abs, 1)
    assert workflows.journal(execution) == []


def test_a_workflow_that_returns_a_coroutine_says_so(workflows: Workflows) -> None:
    """A `def` that forgot its `async`."""

    async def work() -> int:
        return 1

    @workflow
    def flow(ctx: Context) -> Any:
        return work()

    with pytest.raises(ExecutionFailed, match="declare it with `async def`"):
        workflows.result(flow.start())


def test_a_workflow_may_catch_exception(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """Semantics 7: waiting is no Exception, so `except Exception` and `finally` do no harm."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        for _ in range(3):
            try:
                await ctx.sleep("1 day")
                await ctx.do(counter.count)
            except Exception:
                return "caught something"
            finally:
                counter.calls.append("finally")
        return "done"

    execution = flow.start()
    assert workflows.result(execution) == "done"
    assert counter.calls.count(None) == 3
    assert of(execution).status == Status.COMPLETED


def test_a_workflow_that_catches_base_exception_once_is_parked_all_the_same(
    workflows: Workflows, colour: Colour, counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    """Semantics 7: once it unwinds, what it returns is ignored, and further calls unwind again."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.sleep("1 day")
        except BaseException:
            counter.count("swallowed")
            return "too early"
        return "in time"

    execution = flow.start()
    workflows.run_until_idle()
    assert of(execution).status == Status.WAITING
    assert "catches BaseException" in caplog.text
    assert workflows.result(execution) == "in time"


def test_a_workflow_that_never_lets_itself_be_parked_fails(
    workflows: Workflows, colour: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop around `except BaseException` is found out, and the execution fails with the reason."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        for _ in range(200):
            try:
                await ctx.sleep("1 day")
            except BaseException:
                continue

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match="catches BaseException"):
        workflows.result(execution)


def of(handle: Any) -> Execution:
    return Execution.objects.get(pk=handle.id)
