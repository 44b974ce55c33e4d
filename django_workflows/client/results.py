"""Waiting for the result of an execution, in threads and on event loops."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from django.db import connections

from django_workflows import clock, conf
from django_workflows.client.handles import id_of, not_found
from django_workflows.client.outcomes import Outcome, look
from django_workflows.client.polling import FIRST_PAUSE, longer, poller
from django_workflows.exceptions import ResultTimeout
from django_workflows.models import Status

Timeout = float | timedelta | None


def result(execution: Any, timeout: Timeout = None) -> Any:
    """The output of an execution, when it has completed.

    Waits for at most `timeout` (seconds or a timedelta; None: for ever, 0: look once), then raises `ResultTimeout`.
    Raises `ExecutionFailed`, `ExecutionTimedOut` or `ExecutionCancelled` when it ended so, `ExecutionNotFound` at once
    when there is none. An execution started in a transaction that is still open cannot begin before the commit.
    """
    alias, id = conf.database(), id_of(execution)
    give_up = _deadline(timeout)
    pause = FIRST_PAUSE
    while True:
        if (outcome := look(alias, [id]).get(id)) is None:
            raise not_found(id)
        if outcome.is_final:
            return outcome.value()
        remaining = _remaining(give_up)
        if remaining is not None and remaining <= 0:
            raise _timed_out(outcome, timeout, alias)
        time.sleep(pause if remaining is None else min(pause, remaining))
        pause = longer(pause)


async def aresult(execution: Any, timeout: Timeout = None) -> Any:
    """`result()` for async code. All who wait on an event loop share one connection and its queries."""
    alias, id = conf.database(), id_of(execution)
    give_up = _deadline(timeout)
    if (outcome := await poller(alias).look(id)) is None:
        raise not_found(id)
    if outcome.is_final:
        return outcome.value()
    try:
        async with asyncio.timeout(_remaining(give_up)):
            final = await poller(alias).wait(id)
    except TimeoutError:
        raise _timed_out(outcome, timeout) from None
    if final is None:
        raise not_found(id)
    return final.value()


def _deadline(timeout: Timeout) -> float | None:
    if timeout is None:
        return None
    return clock.monotonic() + (timeout.total_seconds() if isinstance(timeout, timedelta) else timeout)


def _remaining(give_up: float | None) -> float | None:
    return None if give_up is None else give_up - clock.monotonic()


def _timed_out(outcome: Outcome, timeout: Timeout, alias: str | None = None) -> ResultTimeout:
    waited = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    hint = ""
    if alias is not None and connections[alias].in_atomic_block:
        hint = " The transaction that asked is still open: what was started in it cannot begin before the commit."
    elif outcome.status == Status.PENDING:
        hint = " Is a worker there (`manage.py runworkflows`)? `manage.py workflowsdoctor` tells what is missing."
    return ResultTimeout(f"{outcome.workflow} {outcome.id} was {outcome.status} after {waited} s; it goes on.{hint}")
