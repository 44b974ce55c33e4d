"""The journal of an execution as a few words per row, for assertions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_workflows.models import Execution, StepResult, StepStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: what kind of step, its name and status, what came of it, and its place in the code (`key`)."""

    kind: str
    name: str
    status: str
    output: Any
    error: Any
    attempts: int
    key: str
    deadline: datetime | None
    started_at: datetime | None
    completed_at: datetime | None

    @property
    def words(self) -> tuple[str, str, str, Any]:
        """What `assert_journal` compares, as far as an expected row goes."""
        return self.kind, self.name, self.status, self.output


_FIELDS = tuple(Row.__dataclass_fields__)


def read(alias: str, execution: Any, generation: int | None) -> list[Row]:
    """The rows in the order in which their outcomes were recorded, those of a loop's earlier iterations included."""
    id = getattr(execution, "id", execution)
    if generation is None:
        generation = Execution.objects.using(alias).values_list("generation", flat=True).get(pk=id)
    steps = StepResult.objects.using(alias).filter(execution=id, generation=generation)
    current = steps.exclude(status=StepStatus.SUPERSEDED).order_by("seq")
    return [Row(**{field: getattr(step, field) for field in _FIELDS}) for step in current]


def difference(rows: Sequence[Row], expected: Sequence[tuple[Any, ...]]) -> str | None:
    """Where the rows are not what was expected, for people; None when they are."""
    if len(rows) == len(expected) and all(map(_fits, rows, expected)):
        return None
    lines = ["The journal is not as expected.", "expected:"]
    lines += [f"    {_text(words)}" for words in expected] or ["    nothing"]
    lines += ["found:"]
    lines += [f"    {_text(row.words)}" for row in rows] or ["    nothing"]
    return "\n".join(lines)


def _fits(row: Row, expected: tuple[Any, ...]) -> bool:
    return row.words[: len(expected)] == tuple(expected)


def _text(words: Sequence[Any]) -> str:
    return "  ".join(repr(word) if not isinstance(word, str) or not word else str(word) for word in words)
