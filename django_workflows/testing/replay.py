"""Stored histories against today's code: does it still ask for what real executions did? Nothing new is done."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from asgiref.sync import async_to_sync
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.models import TextField
from django.db.models.functions import Cast

from django_workflows import codec, conf
from django_workflows.authoring.registry import registry
from django_workflows.clock import DatabaseClock, monotonic
from django_workflows.engine.claims import loading
from django_workflows.engine.claims.claims import Claimed
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import End, Ending, Receipt, Verdict
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.inline.driver import CallerLoop, CallerThread, InlineCommitter
from django_workflows.engine.runners.event_loop import LoopRunner
from django_workflows.engine.runners.task_scopes import task_factory
from django_workflows.engine.runners.threads import ThreadRunner
from django_workflows.engine.turn.turn import Turn
from django_workflows.models import Execution, Status


class History(msgspec.Struct, kw_only=True):
    """An execution as it was: all that its code got to see."""

    status: str
    loaded: Loaded
    taken_at: datetime


class Spectator(InlineCommitter):
    """Believes that everything is stored and stores nothing."""

    def flush(self, turn: Turn) -> None:
        if (write := turn.take_write()) is not None:
            turn.receive(write, Receipt(verdict=Verdict.STORED, inbox=write.seen_inbox))


def export_history(execution: Any) -> str:
    """The history of an execution as JSON, to be kept with the tests.

    Mind that it holds inputs, results and messages as they were, passwords and tokens included: what `REDACT` hides
    from people is needed here, since the code is to see what it saw.
    """
    alias = conf.database()
    id = getattr(execution, "id", execution)
    dialect = dialect_of(connections[alias])

    def read(cursor: CursorWrapper) -> History:
        status, claimed = _read_claimed(alias, id)
        loaded = loading.load(cursor, dialect, [claimed])[0]
        return History(status=status, loaded=loaded, taken_at=claimed.claimed_at)

    return msgspec.json.encode(transact(alias, read)).decode()


def _read_claimed(alias: str, id: UUID) -> tuple[str, Claimed]:
    """As a worker would take it; the journal of one that was never taken is empty."""
    fields = [field for field in Claimed.__struct_fields__ if field not in {"tags", "claimed_at", "input", "state"}]
    texts = {f"{name}_text": Cast(name, TextField()) for name in ("input", "state")}
    rows = Execution.objects.using(alias).annotate(**texts)
    values = rows.values(*fields, *texts, "tags", "updated_at", "status").get(pk=id)
    columns = {field: values[field] for field in fields}
    columns["started_at"] = columns["started_at"] or columns["created_at"]
    columns["claim"] = max(columns["claim"], 2)  # a first claim would not look for a journal
    return values["status"], Claimed(
        **columns,
        input=values["input_text"],
        state=values["state_text"],
        tags=codec.encode(values["tags"]) if values["tags"] else None,
        claimed_at=values["updated_at"],
    )


def replay_history(history: str) -> None:
    """Replay an exported history. AssertionError with the first difference, or when code that had completed now fails.

    The code goes as far as the history does, and stops before its next effect.
    """
    past = msgspec.json.decode(history, type=History)
    turn, ending = _replay(past.loaded, past.taken_at)
    of = f"{past.loaded.claimed.workflow} {past.loaded.claimed.id}"
    if turn.flags.mismatch is not None:
        raise AssertionError(f"{of}: {turn.flags.mismatch}") from None
    if ending is not None and ending.end is End.FAIL and past.status == Status.COMPLETED:
        raise AssertionError(f"{of} had completed, and fails now: {ending.reason}")


def _replay(loaded: Loaded, moment: datetime) -> tuple[Turn, Ending | None]:
    claimed = msgspec.structs.replace(loaded.claimed, deadline=None, expires_at=None)
    past = Loaded(claimed=claimed, entries=loaded.entries, inbox=loaded.inbox, children=loaded.children)
    definition = registry.workflow(claimed.workflow, claimed.version)
    common: dict[str, Any] = {
        "clock": DatabaseClock(moment, monotonic()),
        "committer": Spectator(),
        "alias": conf.database(),
    }
    if definition.is_async:
        return async_to_sync(_replay_on_loop)(past, definition, common)
    runner = ThreadRunner(past, definition, helpers=CallerThread(), **common)
    runner.turn.flags.releasing = True  # no new effect may begin
    return runner.turn, runner.run()


async def _replay_on_loop(past: Loaded, definition: Any, common: dict[str, Any]) -> tuple[Turn, Ending | None]:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(task_factory)
    runner = LoopRunner(past, definition, host=CallerLoop(common["committer"]), loop=loop, **common)
    runner.turn.flags.releasing = True
    return runner.turn, await runner.run()
