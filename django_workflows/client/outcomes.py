"""How executions ended, and what that means to who asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from django_workflows import codec
from django_workflows.authoring.registry import registry
from django_workflows.client import statements
from django_workflows.client.commits import read
from django_workflows.engine.database.dialects import dialect_of, read_uuid
from django_workflows.exceptions import (
    DuplicateName,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionTimedOut,
    PayloadError,
)
from django_workflows.models import FINISHED, Status

_TIMED_OUT = "WorkflowTimeout"

# More ids make another statement.
_BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an execution has come to so far."""

    id: UUID
    workflow: str
    version: int
    status: str
    output: str | None
    error: str | None
    reason: str

    @property
    def is_final(self) -> bool:
        return self.status in FINISHED

    def value(self) -> Any:
        """The output, as the workflow's return type says; or raises how it ended otherwise.

        `PayloadError` when the stored output no longer fits that type.
        """
        if self.status == Status.COMPLETED:
            return None if self.output is None else codec.decode(self.output, _hint_of(self.workflow, self.version))
        if self.status == Status.CANCELLED:
            raise ExecutionCancelled(self.workflow, self.id, {"message": self.reason})
        error = _error_of(self.error)
        timed_out = error.get("type") == _TIMED_OUT
        raise (ExecutionTimedOut if timed_out else ExecutionFailed)(self.workflow, self.id, error)


def look(alias: str, ids: Collection[UUID]) -> dict[UUID, Outcome]:
    """The outcomes of those executions that exist."""
    ordered = list(ids)
    return read(alias, lambda cursor: _read(cursor, ordered))


def _read(cursor: CursorWrapper, ids: Sequence[UUID]) -> dict[UUID, Outcome]:
    found: dict[UUID, Outcome] = {}
    for start in range(0, len(ids), _BATCH):
        among, parameters = dialect_of(cursor.db).among(ids[start : start + _BATCH])
        cursor.execute(statements.OUTCOMES.format(among=among), parameters)
        for id, workflow, version, status, output, error, reason in cursor.fetchall():
            found[read_uuid(id)] = Outcome(
                id=read_uuid(id),
                workflow=workflow,
                version=version,
                status=status,
                output=output,
                error=error,
                reason=reason,
            )
    return found


def _hint_of(workflow: str, version: int) -> Any:
    """The return type of the code that this process has for it; Any without."""
    try:
        definition = registry.in_code(workflow, version)
    except DuplicateName:
        return Any
    return Any if definition is None else codec.hint_of(definition.signature_of[0])


def _error_of(text: str | None) -> dict[str, Any]:
    try:
        error = codec.decode(text or "{}")
    except PayloadError:
        error = text
    return error if isinstance(error, dict) else {"type": "", "message": str(error)}
