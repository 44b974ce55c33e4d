"""What goes wrong, drawn by a seed: the database's restarts in one thread, all else in another one."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

from django.db import DatabaseError, InterfaceError, connection

from tests.chaos.recovery import Recoveries, have_moved, held_by, something_moves
from tests.chaos.stage import SKEWS, Fleet, Stage

RESTART_EVERY = (5.0, 40.0)
AWAY = (0.2, 3.0)
PAUSE = (0.4, 2.0)  # between two other faults
STOPPED = (0.5, 4.0)  # a process stands still: less than HANG_TIMEOUT
STOPPED_FLEET = (6.0, 9.0)  # all stand still: more than a lease, so others take over

TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5
"""


class Faults:
    """Until `stop()`, which mends everything."""

    def __init__(self, stage: Stage, recoveries: Recoveries, seed: int) -> None:
        self.faults: Counter[str] = Counter()
        self.broken: BaseException | None = None
        self._stage, self._recoveries = stage, recoveries
        self._random, self._restarts = Random(f"{seed} faults"), Random(f"{seed} restarts")
        self._ending = threading.Event()
        acts = (self._break, self._restart) if stage.server.is_ours else (self._break,)
        self._threads = [threading.Thread(target=self._live, args=(act,), daemon=True) for act in acts]
        self._acts: list[tuple[Callable[[Fleet], None], int]] = [
            (self._kill, 12),
            (self._stand_still, 6),
            (self._cut, 5 if connection.vendor == "postgresql" else 0),  # by a function that others lack
            (self._freeze, 1),
            (self._lose, 1),
            (self._deploy, 1),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(120)
        self._stage.go_on(all_of_them=True)

    def _live(self, act: Callable[[], None]) -> None:
        try:
            while not self._ending.is_set():
                act()
        except BaseException as error:
            self.broken = error
        finally:
            connection.close()

    # the database

    def _restart(self) -> None:
        if self._ending.wait(self._restarts.uniform(*RESTART_EVERY)):
            return
        server = self._stage.server
        if self._restarts.random() < 0.5:
            self.faults["database stopped"] += 1
            server.stop()
        else:
            self.faults["database crashed"] += 1
            server.crash()
        time.sleep(self._restarts.uniform(*AWAY))
        server.start()
        self._recoveries.expect("database restarted: something moves", something_moves())

    # processes and connections

    def _break(self) -> None:
        self.tend()
        self._stage.go_on()
        fleet = self._random.choice(self._stage.fleets)
        if not fleet.children:  # it is loading Django, which takes seconds
            time.sleep(0.1)
            return
        act = self._random.choices([act for act, _ in self._acts], [weight for _, weight in self._acts])[0]
        act(fleet)
        end = time.monotonic() + self._random.uniform(*PAUSE)
        while time.monotonic() < end:
            self._stage.go_on()
            time.sleep(0.05)

    def tend(self) -> None:
        """Whoever has ended is replaced: a gang that found no database when it began, for instance."""
        for fleet in [fleet for fleet in self._stage.fleets if not fleet.is_alive]:
            self._stage.retire(fleet)
            self._stage.start_fleet(fleet.skew)

    def _kill(self, fleet: Fleet) -> None:
        """SIGKILL for a worker or the keeper; the supervisor lives."""
        pid = self._random.choice(fleet.children)
        held = held_by([pid])
        if self._stage.send(pid, signal.SIGKILL):
            self.faults["process killed"] += 1
            if held:
                self._recoveries.expect("worker killed: its executions move", have_moved(held))

    def _stand_still(self, fleet: Fleet) -> None:
        self._hold([self._random.choice(fleet.children)], fleet, "process stopped and continued", STOPPED)

    def _freeze(self, fleet: Fleet) -> None:
        """A whole gang stands still for longer than a lease: when it goes on, it is a crowd of zombies."""
        if not fleet.stopped:
            self._hold(
                [fleet.command.process.pid, *fleet.children], fleet, "gang stopped beyond its lease", STOPPED_FLEET
            )

    def _hold(self, pids: list[int], fleet: Fleet, name: str, seconds: tuple[float, float]) -> None:
        until = time.monotonic() + self._random.uniform(*seconds)
        for pid in pids:
            if self._stage.send(pid, signal.SIGSTOP):
                fleet.stopped[pid] = until
        self.faults[name] += 1

    def _cut(self, fleet: Fleet) -> None:
        """Half of all connections, those of the customers included."""
        with suppress(DatabaseError, InterfaceError):
            with connection.cursor() as cursor:
                cursor.execute(TERMINATE)
                self.faults["connections terminated"] += int(cursor.fetchone()[0])
            return
        connection.close()

    def _lose(self, fleet: Fleet) -> None:
        """The whole machine: nobody is left to release its claims."""
        held = held_by(fleet.command.children)
        fleet.command.send_to_all(signal.SIGKILL)
        self.faults["gang killed"] += 1
        if held:
            self._recoveries.expect("gang killed: its executions move", have_moved(held))
        self._succeed(fleet)

    def _deploy(self, fleet: Fleet) -> None:
        """SIGTERM; its successor begins while it drains."""
        if fleet.stopped:
            return
        fleet.command.send(signal.SIGTERM)
        self.faults["gang asked to end"] += 1
        self._succeed(fleet)

    def _succeed(self, fleet: Fleet) -> None:
        self._stage.retire(fleet)
        self._stage.start_fleet(self._random.choice(SKEWS))
