"""Workflows that do what should not be done, and steps that use the database."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from django.contrib.auth.models import Group
from django.db import connection, transaction

from django_workflows import AsyncContext, Context, Retry, current_step, step, workflow
from tests.sample.ledger import here

ANTIDOTE = "antidote"  # a gate: once open, what is broken is mended

# Unlike `ctypes.CDLL` it keeps the GIL while it calls.
_holding_the_gil = ctypes.PyDLL(None)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# long bodies


@step
def sample_take(label: str, seconds: float) -> str:
    here().enter(label)
    time.sleep(seconds)
    return label


@step
def sample_hold_the_gil(label: str, seconds: int) -> str:
    here().enter(label)
    if not here().is_open(ANTIDOTE):
        _holding_the_gil.sleep(seconds)
    return label


@step
async def sample_block_the_loop(label: str, seconds: float) -> str:
    here().enter(label)
    if not here().is_open(ANTIDOTE):
        time.sleep(seconds)  # it is the fault
    return label


@workflow
async def sample_blocked_loop(ctx: AsyncContext, label: str, seconds: float) -> str:
    return await ctx.do(sample_block_the_loop, label, seconds)


# ends of the process


@step
def sample_kill(label: str, after: float = 0.0) -> str:
    """Kill the process, unless the antidote is there; the first time only when the gate `label` is open."""
    if here().enter(label).attempt == 1:
        here().pass_gate(label)
    time.sleep(after)
    if not here().is_open(ANTIDOTE):
        os.kill(os.getpid(), signal.SIGKILL)
    return label


@step
def sample_exit(label: str) -> str:
    here().enter(label)
    if not here().is_open(ANTIDOTE):
        sys.exit(1)
    return label


@step
async def sample_exit_async(label: str) -> str:
    here().enter(label)
    if not here().is_open(ANTIDOTE):
        sys.exit(1)
    return label


@workflow
async def sample_leaving(ctx: AsyncContext, label: str) -> str:
    """An `async def` workflow around the step that leaves, on the event loop."""
    return await ctx.do(sample_exit_async, label)


@workflow
def sample_poison(ctx: Context, label: str, after: float = 0.0) -> str:
    return ctx.do(sample_kill, label, after)


@workflow
def sample_leaving_branch(ctx: Context, label: str) -> str:
    """The step that leaves stands in one of two branches."""
    left, _ = ctx.gather(lambda ctx: ctx.do(sample_exit, label), lambda ctx: ctx.do(sample_take, label, 0.0))
    return str(left)


@workflow
def sample_innocent(ctx: Context, label: str) -> list[str]:
    """Two steps that take a while, one attempt each, so that a lost one must not count."""
    once = sample_take.using(retry=Retry(max_attempts=1))
    return [ctx.do(once, f"{label}-{number}", 0.2) for number in range(2)]


# the database


@step(atomic=True)
def sample_count(label: str) -> None:
    """An effect in the database itself: a second one would violate a constraint."""
    Group.objects.create(name=label)


@step(atomic=True)
def sample_count_at_gate(label: str) -> None:
    call = here().enter(label)
    Group.objects.create(name=f"{label}-{call.attempt}")
    here().pass_gate(f"{label}-{call.attempt}")


@step
def sample_query_at_gate(label: str) -> int:
    """Use the database, and wait with the connection open."""
    here().enter(label)
    count = Group.objects.count()
    here().pass_gate(label)
    return count + Group.objects.count()


@step(retry=Retry(max_attempts=1))
def sample_leave_open(how: str) -> str:
    """Leave a transaction open, with a row that nobody may ever see."""
    if how == "atomic":
        transaction.atomic().__enter__()
    else:
        transaction.set_autocommit(False)
    Group.objects.create(name=f"left-{how}")
    return how


@step
def sample_break_connection(label: str) -> str:
    """Break the connection under Django's feet; the second attempt finds a new one."""
    here().enter(label)
    if current_step().attempt == 1:
        connection.ensure_connection()
        connection.connection.close()
    Group.objects.create(name=label)
    return label


@step
def sample_write(label: str) -> int:
    return Group.objects.create(name=label).pk


@workflow
async def sample_write_async(ctx: AsyncContext, label: str) -> None:
    """Write on the event loop, and in a thread beside it."""
    await ctx.do(sample_write_on_the_loop, f"{label}-loop")
    await ctx.do(sample_write, f"{label}-thread")


@workflow
def sample_write_and_wait(ctx: Context, label: str) -> str:
    """A step that uses the database, and one that waits without it."""
    ctx.do(sample_write, label)
    return ctx.do(sample_pass_as, label)


@step
async def sample_write_on_the_loop(label: str) -> None:
    await Group.objects.acreate(name=label)


@workflow
def sample_wrapped(ctx: Context, label: str) -> int:
    """A transaction around calls of the context, which it cannot hold together."""
    with transaction.atomic():
        Group.objects.create(name=f"{label}-around")
        return ctx.do(sample_write, f"{label}-inside")


@workflow
def sample_left_by_workflow(ctx: Context, label: str) -> str:
    """A workflow that leaves a transaction open when it returns."""
    ctx.do(sample_write, f"{label}-before")
    transaction.set_autocommit(False)
    Group.objects.create(name=f"{label}-left")
    return label


# a zombie's late writes


@step
def sample_pass_as(label: str) -> str:
    """The first attempt waits at a gate; later ones pass."""
    if here().enter(label).attempt == 1:
        here().pass_gate(label)
    return label


@step
def sample_wait(label: str) -> str:
    here().enter(label)
    here().pass_gate(label)
    return label


@workflow
def sample_impatient(ctx: Context, label: str) -> str:
    """The first attempt takes longer than it may, and comes to its end later all the same."""
    return ctx.do(sample_pass_as.using(timeout=0.5, retry=Retry(max_attempts=2, initial_interval=0.01)), label)


@workflow
def sample_zombie(ctx: Context, label: str, then: str) -> str:
    """A step, then what a zombie would try to write after it."""
    ctx.do(sample_pass_as, label)
    if then == "child":
        ctx.run("sample_child", 1)
    elif then == "sleep":
        ctx.sleep(0.01)
    elif then == "signal":
        ctx.wait_for_signal("go")
    elif then == "event":
        ctx.send_event("sample.zombie", {"label": label})
    elif then == "failure":
        raise ValueError(label)
    elif then == "atomic":
        ctx.do(sample_count, label)
    elif then == "step":
        ctx.do(sample_wait, f"{label}-more")
    return label


# poisons: ends of the process that no `except` sees


def _die_by_segfault() -> None:
    ctypes.string_at(0)  # reads where nothing is


def _die_for_memory() -> None:
    """What the kernel's OOM killer does when a limit is hit: `RLIMIT_AS` makes the allocation fail, then SIGKILL."""
    limit = 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        bytearray(4 * limit)
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)


def _hold_the_gil_for_ever() -> None:
    _holding_the_gil.sleep(100_000)


POISONS = {"segfault": _die_by_segfault, "memory": _die_for_memory, "gil": _hold_the_gil_for_ever}


@step
def sample_take_poison(label: str, kind: str) -> str:
    """Die, unless the antidote is there; the first time only when the gate `label` is open."""
    if here().enter(label).attempt == 1:
        here().pass_gate(label)
    if not here().is_open(ANTIDOTE):
        POISONS[kind]()
    return label


@workflow
def sample_poisoned(ctx: Context, label: str, kind: str) -> str:
    return ctx.do(sample_take_poison, label, kind)


# input that is poison to whoever reads it


@dataclass(frozen=True)
class Fuse:
    """What a worker burns with that binds it to an argument, unless the antidote is there."""

    kind: str

    def __post_init__(self) -> None:
        if here().is_open(ANTIDOTE):
            return
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.kind == "hang":
            time.sleep(3600)  # it is the fault
        raise RecursionError("a type that refers to itself")


@workflow
def sample_fused(ctx: Context, fuse: Fuse) -> str:
    return fuse.kind
