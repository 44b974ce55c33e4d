"""What steps do to the world outside: lines in a file, and gates that a test holds shut.

A step that enters leaves a line; one that reaches a gate leaves a mark and waits until the test opens it. So a test
knows where a worker stands without waiting for luck.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from django_workflows import current_step

PATIENCE = 60.0
LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a step's body."""

    label: str
    execution: str
    key: str
    attempt: int
    pid: int
    began: float
    worker: str


class Ledger:
    """A folder that workers and the test share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "ledger.jsonl"

    # by steps

    def enter(self, label: str) -> Call:
        """Note that the body of the current step was called."""
        step = current_step()
        call = Call(
            label=label,
            execution=str(step.execution_id),
            key=step.idempotency_key,
            attempt=step.attempt,
            pid=os.getpid(),
            began=time.monotonic(),
            worker=os.environ.get("SAMPLE_WORKER", ""),
        )
        self._append(json.dumps(asdict(call)))
        return call

    def _append(self, line: str) -> None:
        # one write to a file opened for appending is not mixed with others
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)

    def pass_gate(self, name: str) -> None:
        """Mark that the gate was reached, and wait until it is open."""
        (self.folder / f"{name}.reached").touch()
        deadline = time.monotonic() + PATIENCE
        while not self.is_open(name):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Nobody opened the gate {name!r}.")
            time.sleep(LOOK_SECONDS)

    # by tests

    def is_open(self, name: str) -> bool:
        return (self.folder / f"{name}.open").exists()

    def was_reached(self, name: str) -> bool:
        return (self.folder / f"{name}.reached").exists()

    def open(self, name: str) -> None:
        (self.folder / f"{name}.open").touch()

    def calls(self, label: str | None = None) -> list[Call]:
        """Every call, or those of one label, oldest first."""
        return [call for call in self._read() if label is None or call.label == label]

    def _read(self) -> Iterator[Call]:
        if self._file.exists():
            with self._file.open() as lines:
                for line in lines:
                    yield Call(**json.loads(line))

    def calls_by_key(self) -> Counter[str]:
        """How often a body was called under each idempotency key."""
        return Counter(call.key for call in self._read())


def here() -> Ledger:
    """The ledger of this worker process."""
    return Ledger(Path(os.environ["SAMPLE_FOLDER"]))
