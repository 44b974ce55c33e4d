"""What the processes of one supervisor tell each other: a few numbers in shared memory, written by one side each."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from uuid import UUID

# beat, executions held, suspects seen, (the keeper's) deaths whose executions are released; then the counters
FIELDS = ("beat", "held", "suspects", "released", "turns", "steps", "completed", "failed", "parked")
COUNTERS = FIELDS[4:]
_SIZE = struct.calcsize("d")
_SLOT = _SIZE * len(FIELDS)


@dataclass(frozen=True, slots=True)
class Slot:
    """The numbers of one process; CPython writes a double in one piece."""

    memory: mmap.mmap
    index: int

    def get(self, field: str) -> float:
        value: float = struct.unpack_from("d", self.memory, self._offset(field))[0]
        return value

    def set(self, field: str, value: float) -> None:
        struct.pack_into("d", self.memory, self._offset(field), value)

    def add(self, field: str, value: float = 1) -> None:
        self.set(field, self.get(field) + value)

    def clear(self) -> None:
        for field in FIELDS:
            self.set(field, 0.0)

    def _offset(self, field: str) -> int:
        return self.index * _SLOT + FIELDS.index(field) * _SIZE


class SharedMemory:
    """Anonymous memory that forked processes have in common."""

    def __init__(self, slots: int) -> None:
        self._memory = mmap.mmap(-1, max(slots, 1) * _SLOT)

    def slot(self, index: int) -> Slot:
        return Slot(self._memory, index)


@dataclass(frozen=True, slots=True)
class Identity:
    """One worker process: its id in `claimed_by`, its place in shared memory, whether it runs suspects alone."""

    id: UUID
    index: int
    alone: bool = False
