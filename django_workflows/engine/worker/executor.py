"""Executes the turns that a pump claimed: `def` workflows in a pool of threads, `async def` ones on an event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django_workflows.authoring.registry import registry
from django_workflows.clock import DatabaseClock
from django_workflows.engine.claims.claims import Claimed
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import Ending
from django_workflows.engine.runners import completion
from django_workflows.engine.runners.event_loop import LoopRunner
from django_workflows.engine.runners.threads import ThreadRunner
from django_workflows.engine.turn import lifecycle
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.core import Core
from django_workflows.engine.worker.left_behind import LeftBehind
from django_workflows.engine.worker.loop_thread import LoopThread
from django_workflows.engine.worker.thread_pool import Helpers, Pool
from django_workflows.exceptions import WorkflowsError

logger = logging.getLogger("django_workflows")


class TurnExecutor:
    """Runs turns in a pool of threads and on an event loop. `on_exit` hears when user code wants the process to end."""

    def __init__(
        self,
        core: Core,
        *,
        threads: int,
        async_slots: int,
        branch_threads: int,
        alone: bool,
        on_exit: Callable[[BaseException], None],
    ) -> None:
        self._core, self._on_exit, self._alone = core, on_exit, alone
        self._helpers = Helpers(branch_threads)
        self.pool = Pool(threads, "workflows-turn")
        self.loop = LoopThread(self.pool, self._helpers, core.commit_queue, on_exit)
        self.left_behind = LeftBehind(core.holds)
        self._async_slots = async_slots
        self._async_turns = 0

    def free(self) -> tuple[int, int]:
        """Free slots for `def` and for `async def` workflows."""
        if self._alone:
            return (0, 0) if self._core.held else (self.pool.unused, 0)  # one that is left behind keeps the thread
        return self.pool.unused, max(self._async_slots - self._async_turns, 0)

    def execute(self, loaded: Sequence[Loaded], clock: DatabaseClock) -> list[tuple[Claimed, Exception]]:
        """Begin these turns; the claims that cannot have one, because their workflow cannot be read, and why."""
        coroutines: list[Callable[[], Any]] = []
        unread: list[tuple[Claimed, Exception]] = []
        common: dict[str, Any] = {"clock": clock, "committer": self._core.commit_queue, "alias": self._core.alias}
        for one in loaded:
            try:
                definition = registry.workflow(one.claimed.workflow, one.claimed.version)
            except WorkflowsError as error:  # a definition that nobody can read must stop nobody else
                unread.append((one.claimed, error))
                continue
            if definition.is_async:
                runner = LoopRunner(
                    one,
                    definition,
                    host=self.loop,
                    loop=self.loop.loop,
                    call_soon=self.loop.call_soon,
                    **common,
                )
                self._async_turns += 1
                self._hold(runner.turn)
                coroutines.append(partial(self._run_on_loop, runner))
            else:
                plain = ThreadRunner(one, definition, helpers=self._helpers, **common)
                self._hold(plain.turn)
                self.pool.submit(partial(self._run_in_thread, plain))
            if lifecycle.has_begun(one.claimed):
                self.pool.submit(partial(lifecycle.announce_start, one.claimed))
        if coroutines:
            self.loop.submit(coroutines)
        return unread

    def _hold(self, turn: Turn) -> None:
        self._core.hold(turn)
        self.left_behind.begin(turn)

    def _run_in_thread(self, runner: ThreadRunner) -> None:
        turn = runner.turn
        try:
            ending = runner.run()
        except (SystemExit, KeyboardInterrupt) as error:
            logger.error("Execution %s (%s) asked for the end of the process.", turn.claimed.id, turn.claimed.workflow)
            self._on_exit(error)
        except BaseException as error:
            self._conclude(turn, completion.after_own_error(turn, error))
        else:
            self._conclude(turn, ending)

    async def _run_on_loop(self, runner: LoopRunner) -> None:
        turn = runner.turn
        try:
            self._conclude(turn, await runner.run())
        except (SystemExit, KeyboardInterrupt) as error:
            self._on_exit(error)
        except BaseException as error:
            self._conclude(turn, completion.after_own_error(turn, error))
        finally:
            self._async_turns -= 1

    def _conclude(self, turn: Turn, ending: Ending | None) -> None:
        """Hand the ending to the pump; this thread need not wait until it is stored."""
        self.left_behind.end(turn)
        if ending is None or turn.flags.abandoned:
            self._core.drop(turn)
            return
        completion.conclude(turn, ending)
        self._core.commit_queue.flush(turn)
