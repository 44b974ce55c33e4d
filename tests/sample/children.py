"""Steps that start processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection, transaction

from django_workflows import AsyncContext, Context, Retry, current_step, step, workflow
from tests.sample.ledger import here

ONCE = Retry(max_attempts=1)
LONG = 60.0
SHOW_SIGNALS = "print([line for line in open('/proc/self/status') if line.startswith(('SigBlk', 'SigIgn'))])"


@step(retry=ONCE)
def sample_terminate(method: str, pause: float) -> int | None:
    """The exit status of a child that is ended after a pause."""
    child = multiprocessing.get_context(method).Process(target=time.sleep, args=(LONG,))  # type: ignore[attr-defined]  # each has one
    child.start()
    time.sleep(pause)
    child.terminate()
    child.join(10)
    code: int | None = child.exitcode
    child.kill()
    return code


@step(retry=ONCE)
def sample_leave_pool(method: str) -> float:
    """How long it takes to leave a pool that has work left."""
    with multiprocessing.get_context(method).Pool(2) as pool:
        pool.apply_async(time.sleep, (LONG,))
        time.sleep(0.3)
        began = time.monotonic()
    return time.monotonic() - began


@step(retry=ONCE)
def sample_interrupt_program() -> int:
    program = subprocess.Popen([sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"], stdout=-1)
    assert program.stdout is not None
    program.stdout.readline()
    program.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        program.wait(10)
    program.kill()
    return program.wait()


@step(retry=ONCE)
def sample_signals_of_program() -> str:
    """Which signals a program finds blocked and ignored."""
    return subprocess.run([sys.executable, "-c", SHOW_SIGNALS], stdout=-1, text=True, check=True).stdout


@step(retry=ONCE)
def sample_fork(how: str) -> int:
    """The exit status of a child that goes on in this very body, and comes to its end."""
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    here().enter("child")
    if how == "exit":
        sys.exit(7)
    if how == "raise":
        raise ValueError("in the child")
    return 0


@step(retry=ONCE)
async def sample_fork_async(how: str) -> int:
    status: int = sample_fork.fn(how)
    return status


@step(atomic=True, retry=ONCE)
def sample_fork_atomic(how: str) -> int:
    Group.objects.create(name="parent")
    status: int = sample_fork.fn(how)
    return status


@workflow
def sample_fork_in_workflow(ctx: Context, then: str) -> int:
    """A workflow's own code forks, which it should not."""
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    if then == "step":
        return ctx.do(sample_fork, "return")
    return 0


def _write(name: str) -> None:
    Group.objects.create(name=name)


@step(retry=ONCE)
def sample_child_writes() -> list[str]:
    """A child uses the ORM; this process goes on with its own connection."""
    Group.objects.create(name="before")
    child = multiprocessing.get_context("fork").Process(target=_write, args=("child",))
    child.start()
    child.join(LONG)
    assert child.exitcode == 0
    Group.objects.create(name="after")
    return sorted(Group.objects.values_list("name", flat=True))


@step(retry=ONCE)
def sample_child_starts(name: str) -> int | None:
    """A child starts an execution while threads of the worker hold its locks."""
    child = multiprocessing.get_context("fork").Process(target=partial(sample_named.start, name))
    child.start()
    child.join(LONG)
    return child.exitcode


@step
def sample_orphan(label: str) -> None:
    """Hold a transaction open, in which a child is forked that lives on when this worker is killed."""
    if current_step().attempt > 1:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,)).start()
        here().enter(label)
        here().pass_gate(label)


@workflow
def sample_named(ctx: Context, name: str) -> str:
    return name


@workflow
async def sample_forking_on_the_loop(ctx: AsyncContext, how: str) -> int:
    return await ctx.do(sample_fork_async, how)


@workflow
def sample_calling(ctx: Context, name: str, *args: Any) -> Any:
    """One of these steps, by its name."""
    return ctx.do(STEPS[name], *args)


STEPS: dict[str, Any] = {
    name: value for name, value in globals().items() if name.startswith("sample_") and hasattr(value, "options")
}
