"""`ctx.token()`: a one-time link that resumes an execution with what is posted to it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from django_workflows import AsyncContext, Context, Retry, step, workflow
from django_workflows.client import answer_token, start
from django_workflows.exceptions import InvalidInput, PayloadTooLarge, TokenSpent, UnknownToken
from django_workflows.models import Event, Execution, Signal, Status, StepResult
from django_workflows.testing import Workflows

ADDRESSES: list[str] = []


@pytest.fixture(autouse=True)
def _no_addresses() -> None:
    ADDRESSES.clear()


def secret(number: int = -1) -> str:
    return ADDRESSES[number].rpartition("/")[2]


@step
def send_link(url: str) -> None:
    ADDRESSES.append(url)


@workflow(name="token_approval")
def approval(ctx: Context, timeout: str | None = None) -> Any:
    link = ctx.token("approve", timeout=timeout)
    ctx.do(send_link, link.url)
    return [link.wait(), link.url]


@workflow(name="token_approval_async")
async def approval_async(ctx: AsyncContext, timeout: str | None = None) -> Any:
    link = await ctx.token("approve", timeout=timeout)
    await ctx.do(send_link, link.url)
    return [await link.wait(), link.url]


@workflow(name="token_race")
def race(ctx: Context) -> Any:
    link = ctx.token()
    ctx.do(send_link, link.url)
    first = ctx.race(link, lambda ctx: ctx.sleep("1 hour"))
    return [first.index, link.wait()]


@workflow(name="token_race_async")
async def race_async(ctx: AsyncContext) -> Any:
    link = await ctx.token()
    await ctx.do(send_link, link.url)
    first = await ctx.race(link, ctx.sleep("1 hour"))
    return [first.index, await link.wait()]


@workflow(name="token_two")
def two(ctx: Context) -> Any:
    links = [ctx.token(), ctx.token()]
    for link in links:
        ctx.do(send_link, link.url)
    return [link.wait() for link in links]


COLOURS = pytest.mark.parametrize("flow", [approval, approval_async], ids=["def", "async"])
RIGOUR = pytest.mark.parametrize("evict", [False, True], ids=["normal", "evicting"])


@COLOURS
@RIGOUR
def test_the_body_posted_to_the_link_is_what_the_workflow_gets(db: None, flow: Any, evict: bool) -> None:
    """WHK-13: a one-time address for one wait; the same after every replay."""
    with Workflows(evict=evict) as flows:
        execution = flow.start()
        flows.run_until_idle()
        assert len(set(ADDRESSES)) == 1
        assert ADDRESSES[0].startswith("http://localhost:8000/api/tokens/")
        assert len(secret()) >= 43  # 256 bits
        answered = answer_token(secret(), {"by": "ada", "ok": True})
        assert answered.id == execution.id
        assert flows.result(execution) == [{"by": "ada", "ok": True}, ADDRESSES[0]]


@COLOURS
def test_it_is_used_once(db: None, flow: Any) -> None:
    """WHK-13: also before the workflow has looked, and after it has ended."""
    with Workflows() as flows:
        execution = flow.start()
        flows.run_until_idle()
        answer_token(secret(), 1)
        with pytest.raises(TokenSpent):
            answer_token(secret(), 2)
        assert flows.result(execution)[0] == 1
        with pytest.raises(TokenSpent):
            answer_token(secret(), 3)
        assert Signal.objects.count() == 1


@COLOURS
@RIGOUR
def test_after_its_time_nobody_can_answer_and_the_workflow_gets_none(db: None, flow: Any, evict: bool) -> None:
    with Workflows(evict=evict) as flows:
        execution = flow.start(timeout="1 hour")
        flows.run_until_idle()
        flows.skip("61 minutes")
        with pytest.raises(TokenSpent):
            answer_token(secret(), 1)
        assert flows.result(execution)[0] is None


def test_an_answer_in_time_counts_though_the_workflow_looks_later(db: None) -> None:
    with Workflows() as flows:
        execution = approval.start(timeout="1 hour")
        flows.run_until_idle()
        execution.pause()
        answer_token(secret(), "in time")
        flows.skip("2 hours")
        execution.refresh_from_db()
        execution.resume()
        assert flows.result(execution)[0] == "in time"


def test_only_a_hash_is_stored(db: None) -> None:
    """Neither the row of the link, nor the arguments shown of the step that sent it, tell the secret."""
    with Workflows() as flows:
        approval.start()
        flows.run_until_idle()
        stored = "\n".join(str(row) for row in [*StepResult.objects.values(), *Execution.objects.values()])
        assert secret() not in stored
        assert "/tokens/…" in stored


def test_an_error_does_not_tell_it_either(db: None) -> None:
    @step(retry=Retry(max_attempts=2))
    def fail_to_send(url: str) -> None:
        ADDRESSES.append(url)
        raise ConnectionError(f"could not reach {url}")

    @workflow(name="token_unsent")
    def unsent(ctx: Context) -> Any:
        link = ctx.token()
        ctx.do(fail_to_send, link.url)

    with Workflows() as flows:
        unsent.start()
        flows.run_to_end()
        rows = [*StepResult.objects.values(), *Execution.objects.values(), *Event.objects.values()]
        assert "could not reach http://localhost:8000/api/tokens/…" in str(Execution.objects.get().error)
        assert not any(secret() in str(row) for row in rows)


def test_the_whole_address_will_do(db: None) -> None:
    with Workflows() as flows:
        execution = approval.start()
        flows.run_until_idle()
        answer_token(f"{ADDRESSES[0]}/", "yes")
        assert flows.result(execution)[0] == "yes"


def test_what_is_no_link_is_unknown(db: None) -> None:
    for wrong in ("", "x", "x" * 10_000, "é", "../..", "a" * 43):
        with pytest.raises(UnknownToken):
            answer_token(wrong, 1)


def test_two_links_have_answers_of_their_own(db: None) -> None:
    with Workflows(evict=True) as flows:
        execution = start("token_two")
        flows.run_until_idle()
        assert len(set(ADDRESSES)) == 2
        answer_token(secret(1), "second")
        answer_token(secret(0), "first")
        assert flows.result(execution) == ["first", "second"]


@RIGOUR
@pytest.mark.parametrize("flow", [race, race_async], ids=["def", "async"])
def test_a_link_whose_wait_lost_a_race_is_still_good(db: None, flow: Any, evict: bool) -> None:
    with Workflows(evict=evict) as flows:
        execution = flow.start()
        flows.run_until_idle()
        flows.skip("2 hours")
        flows.run_until_idle()
        answer_token(secret(), "late")
        assert flows.result(execution) == [1, "late"]


def test_a_link_of_an_execution_that_was_cancelled_is_over(db: None) -> None:
    with Workflows() as flows:
        execution = approval.start()
        flows.run_until_idle()
        execution.cancel()
        flows.run_until_idle()
        with pytest.raises(TokenSpent):
            answer_token(secret(), 1)
        assert execution.status == Status.CANCELLED


def test_a_retry_makes_a_new_link_for_what_is_done_again(db: None) -> None:
    @workflow(name="token_failing")
    def failing(ctx: Context) -> Any:
        ctx.do(check)
        link = ctx.token()
        ctx.do(send_link, link.url)
        ctx.do(check)
        return link.wait()

    @step
    def check() -> None: ...

    with Workflows() as flows:
        with flows.fake(check, None, ValueError("no")):
            execution = failing.start()
            flows.run_to_end()
        execution.refresh_from_db()
        execution.retry()
        flows.run_until_idle()
        answer_token(secret(), "after all")  # it was made before what failed
        assert flows.result(execution) == "after all"


def test_a_key_that_changes_keeps_old_links_while_it_is_a_fallback(db: None, settings: Any) -> None:
    with Workflows() as flows:
        execution = approval.start()
        flows.run_until_idle()
        old = settings.SECRET_KEY
        settings.SECRET_KEY = "another"
        answer_token(secret(), 1)
        flows.run_until_idle()
        execution.refresh_from_db()
        assert execution.status == Status.PAUSED
        assert "SECRET_KEY_FALLBACKS" in Execution.objects.get().reason
        settings.SECRET_KEY_FALLBACKS = [old]
        execution.resume()
        assert flows.result(execution) == [1, ADDRESSES[0]]


def test_null_is_no_answer_and_large_ones_are_refused(db: None, settings: Any) -> None:
    with Workflows() as flows:
        execution = approval.start()
        flows.run_until_idle()
        with pytest.raises(InvalidInput):
            answer_token(secret(), None)
        with pytest.raises(PayloadTooLarge):
            answer_token(secret(), "x" * 2_000_000)
        answer_token(secret(), False)
        assert flows.result(execution)[0] is False


def test_an_answer_belongs_to_the_transaction_that_gives_it(transactional_db: None) -> None:
    with Workflows() as flows:
        execution = approval.start()
        flows.run_until_idle()
        with transaction.atomic():
            answer_token(secret(), "undone")
            transaction.set_rollback(True)
        answer_token(secret(), "done")
        assert flows.result(execution)[0] == "done"


def test_of_many_who_answer_at_once_one_is_heard(transactional_db: None) -> None:
    with Workflows() as flows:
        execution = approval.start()
        flows.run_until_idle()
        given: list[int] = []
        spent: list[int] = []

        def answer(number: int) -> None:
            try:
                answer_token(secret(), number)
                given.append(number)
            except TokenSpent:
                spent.append(number)
            finally:
                connection.close()

        threads = [threading.Thread(target=answer, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (len(given), len(spent)) == (1, 7)
        assert flows.result(execution)[0] == given[0]
