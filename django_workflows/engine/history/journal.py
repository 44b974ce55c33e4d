"""What an execution has done so far, by position; and the comparison of the code with it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

import msgspec

from django_workflows.exceptions import NonDeterminism

FINAL = frozenset({"succeeded", "failed", "skipped"})


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the journal; a changed row is a new value with the same id. A struct, as it is made for each step."""

    id: UUID
    key: str
    seq: int
    name: str
    kind: str
    status: str
    input: str | None = None
    output: str | None = None
    error: str | None = None
    attempts: int = 0
    lost: int = 0
    deadline: datetime | None = None
    match_keys: str = ""
    match_hash: str = ""
    child_id: UUID | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    worker: str = ""  # of the last attempt

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def failures(self) -> int:
        """Attempts that used up the policy: those lost with their worker do not."""
        return self.attempts - self.lost


class Journal:
    """The entries of one execution and generation, each found once by the code that made it.

    Branches change it while others read: what is gone through is copied first, in one step of the interpreter.
    """

    __slots__ = ("_containers", "_entries", "_unvisited", "seq")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {entry.key: entry for entry in entries}
        self._unvisited = set(self._entries)
        self._containers = {prefix for key in self._entries for prefix in _prefixes(key)}
        self.seq = max((entry.seq for entry in self._entries.values()), default=0)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def visit(self, key: str, kind: str, name: str) -> Entry | None:
        """The entry at this position, if there is one; it must be of this kind and name.

        Parallel branches leave no row of their own (`kind` is empty), only rows within: those are compared as well.
        """
        entry = self._entries.get(key)
        if entry is None:
            if kind not in {"", "race"} and key in self._containers:
                raise NonDeterminism(key, "parallel branches", f"{kind} {name!r}")
            return None
        if entry.kind != kind or entry.name != name:
            found = f"{kind} {name!r}" if kind else "parallel branches"
            raise NonDeterminism(key, f"{entry.kind} {entry.name!r}", found)
        self._unvisited.discard(key)
        return entry

    def put(self, entry: Entry) -> None:
        self._entries[entry.key] = entry

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def under(self, prefix: str) -> list[Entry]:
        """The entries of a scope and of the scopes within."""
        return [entry for entry in list(self._entries.values()) if entry.key.startswith(prefix)]

    def forget(self, prefix: str) -> list[Entry]:
        """Drop the entries of a scope, which will not be replayed again; gives them back."""
        forgotten = self.under(prefix)
        for entry in forgotten:
            del self._entries[entry.key]
            self._unvisited.discard(entry.key)
        return forgotten

    def close(self, prefix: str) -> None:
        """The scope is decided: what it holds need not be asked for again."""
        self._unvisited.difference_update([key for key in list(self._unvisited) if key.startswith(prefix)])

    def check_nothing_left(self, prefix: str = "") -> None:
        """At the end of a function, or of parallel branches, every entry in it must have been asked for."""
        left = [self._entries[key] for key in list(self._unvisited) if key.startswith(prefix)]
        if left:
            entry = min(left, key=lambda entry: entry.seq)
            end = "the end of these branches" if prefix else "the end of the workflow"
            raise NonDeterminism(entry.key, f"{entry.kind} {entry.name!r}", end)


def _prefixes(key: str) -> Iterator[str]:
    """The positions that a key lies within: of "3.0.2#5.1" these are "3", "3.0" and "3.0.2"."""
    return (key[:at] for at, character in enumerate(key) if character in ".#")


class Scope:
    """Numbers the calls of one line of control: a workflow, a branch, an asyncio task, an iteration."""

    __slots__ = ("_calls", "_tasks", "prefix")

    def __init__(self, prefix: str = "") -> None:
        self.prefix, self._calls, self._tasks = prefix, 0, 0

    def next_key(self) -> str:
        self._calls += 1
        return f"{self.prefix}{self._calls}"

    def next_task(self) -> Scope:
        """The scope of an asyncio task that is created here."""
        self._tasks += 1
        return Scope(f"{self.prefix}~{self._tasks}.")


def branch_prefix(key: str, index: int) -> str:
    """Scope of the branch `index` of the call at `key`."""
    return f"{key}.{index}."


def iteration_prefix(key: str, number: int) -> str:
    """Scope of one iteration of the loop at `key`."""
    return f"{key}#{number}."
