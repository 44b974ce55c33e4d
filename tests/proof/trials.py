"""One execution from its start to its end, whatever happens to its workers, and the verdict on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import connection

from django_workflows import operations
from django_workflows.engine.claims.claims import release_all
from django_workflows.engine.claims.sql import ALONE_AFTER
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import transact
from django_workflows.inspection.doctor import examine
from django_workflows.models import Execution, Status, StepResult
from tests.proof.database_faults import KILLED
from tests.proof.nursery import Life, Nursery, accidents, said
from tests.proof.workflows import CALLS, OUTPUT, PATIENCE, ROWS, proof_everything
from tests.sample.ledger import Ledger

MOST_LIVES = 100  # after which an execution that has not ended is stuck


class Trial:
    """An execution of `proof_everything`, and the workers that it had."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.nursery, self.folder = nursery, folder
        self.ledger = Ledger(folder)
        self.deaths = 0
        self._dead: list[UUID] = []
        self.execution = proof_everything.start()
        self.execution.signal("go", "hello")

    def life(self, **fate: Any) -> Life:
        return Life(folder=str(self.folder), **fate)

    def live(self, *lives: Life) -> bool:
        """Have workers live, one beside the other; whether one of them died. What it held is released."""
        for worker in self._dead:  # what the server has stored for them since
            release(worker, crashed=True)
        statuses = self.nursery.live(*lives)
        assert set(statuses) <= {0, KILLED}, (statuses, said(self.folder))
        for life, status in zip(lives, statuses, strict=True):
            release(life.worker, crashed=status == KILLED)
            if status == KILLED:
                self._dead.append(life.worker)
        self.deaths += statuses.count(KILLED)
        return KILLED in statuses

    def finish(self, seed: int = 0, **fate: Any) -> None:
        """Have workers live until everything has ended, with other accidents each time."""
        for number in range(MOST_LIVES):
            if not Execution.objects.unfinished().exists():
                return
            self.resume_quarantined()
            self.live(self.life(is_alone=self.is_suspect, seed=seed * MOST_LIVES + number, **fate))
        raise AssertionError(f"Stuck: {list(Execution.objects.unfinished().values())}\n{said(self.folder)}")

    @property
    def is_suspect(self) -> bool:
        """Whether something has killed its workers so often that it must run alone."""
        return Execution.objects.unfinished().filter(crashes__gte=ALONE_AFTER).exists()

    def resume_quarantined(self) -> None:
        """What an operator does."""
        for execution in Execution.objects.paused():
            operations.resume(execution)

    # the verdict

    def check(self) -> None:
        """What was promised of it."""
        self._check_outcome()
        self._check_calls()
        self._check_rows()
        diagnosis = examine(history=None)
        assert diagnosis.is_healthy, diagnosis

    def _check_outcome(self) -> None:
        root = Execution.objects.get(pk=self.execution.id)
        assert root.status == Status.COMPLETED, (root.status, root.reason, root.error, said(self.folder))
        assert root.output == OUTPUT
        assert root.state.keys() == {"token"}

    def _check_calls(self) -> None:
        """No effect is lost, each has one key, and is tried again for a crash only."""
        calls = Counter(call.label for call in self.ledger.calls())
        assert calls.keys() == CALLS.keys()
        keys = {(call.label, call.key) for call in self.ledger.calls()}
        assert len(keys) == len(CALLS), keys
        excess = {label: number for label, number in calls.items() if number > CALLS[label] + self.deaths}
        assert not excess, excess

    def _check_rows(self) -> None:
        """Attempts are counted right, and transactional steps took effect once."""
        steps = StepResult.objects.filter(execution__in=self.family(), kind="step", superseded=0)
        recorded = {f"{step.execution_id}-{step.generation}-{step.key}": step for step in steps}
        for key, number in self.ledger.calls_by_key().items():
            assert number <= recorded[key].attempts + self.deaths, recorded[key]
        labels = {call.key: call.label for call in self.ledger.calls()}
        for key, label in labels.items():
            assert 1 <= recorded[key].attempts - recorded[key].lost <= CALLS[label], recorded[key]
        rows = Group.objects.filter(name__regex="|".join(f"^{id} " for id in self.family()))
        assert sorted(row.name.split(" ", 1)[1].rpartition(" ")[0] for row in rows) == sorted(ROWS)

    def family(self) -> list[UUID]:
        """The execution and all that descend from it."""
        found, last = [self.execution.id], [self.execution.id]
        while last:
            last = list(Execution.objects.filter(parent__in=last).values_list("pk", flat=True))
            found += last
        return found

    @property
    def accidents(self) -> Counter[str]:
        return Counter(accidents(self.folder))


def release(worker: UUID, *, crashed: bool) -> int:
    """What the keeper does when a worker is gone: again while a row is locked, by what the server thinks is alive."""
    deadline, count = monotonic() + PATIENCE, 0
    while True:
        count += transact(
            "default", lambda cursor: release_all(cursor, dialect_of(connection), [worker], crashed=crashed)
        )
        if not Execution.objects.filter(claimed_by=worker).exists():
            return count
        assert monotonic() < deadline, "A row stays locked."
