"""Starting thousands of executions in a few statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from django_workflows.authoring.plans import Plan, Request, definition_of, make_plan, make_request
from django_workflows.authoring.ports import StartOptions
from django_workflows.client import statements
from django_workflows.client.commits import write
from django_workflows.client.handles import Handles
from django_workflows.client.starting import Starter
from django_workflows.engine.database.dialects import Column, read_uuid
from django_workflows.engine.events.after_commit import announce
from django_workflows.exceptions import InvalidInput, KeyConflict
from django_workflows.models import Execution

Input = Mapping[str, Any]
KeyOf = Callable[[Any], str | None]

# Of one INSERT: far below what the databases allow, and enough to make the round trips cheap.
BATCH_ROWS = 1_000
BATCH_CHARACTERS = 4_000_000

_COLUMNS = (
    Column("id", "uuid"),
    Column("input", "text"),
    Column("key", "text"),
    Column("idempotency_key", "text"),
)

Results = list[tuple[Execution, bool]]


def start_many(
    workflow: Any,
    inputs: Iterable[Input],
    options: StartOptions,
    key: KeyOf | None = None,
    idempotency_key: KeyOf | None = None,
) -> list[Execution]:
    """One execution for each dict of keyword arguments, in its order, all or none; existing ones where a key says so.

    `key` and `idempotency_key` make an execution's key from its input. Raises what `start` raises; `InvalidInput` names
    the number of the input, from 0.
    """
    starter = Starter(make_plan(definition_of(workflow), options))
    keys = (key or (lambda _: options.key), idempotency_key or (lambda _: options.idempotency_key))
    requests = [_request(starter.plan, number, values, *keys) for number, values in enumerate(inputs)]
    if not requests:
        return []
    bulk = Bulk(starter, requests)
    results = write(starter.alias, bulk.store, bulk.read_back, savepoint=True)
    if new := [execution.id for execution, is_new in results if is_new]:
        announce(starter.alias, [starter.plan.queue], executions=new, priority=starter.plan.priority)
    return [execution for execution, _ in results]


def _request(plan: Plan, number: int, values: Input, key: KeyOf, idempotency_key: KeyOf) -> Request:
    if not isinstance(values, Mapping):
        raise InvalidInput({f"{number}": [f"must be a dict of keyword arguments, not {type(values).__name__}."]})
    try:
        return make_request(plan, (), values, key(values), idempotency_key(values))
    except InvalidInput as error:
        raise InvalidInput({f"{number}.{name}": texts for name, texts in error.errors.items()}) from None


class Bulk:
    """What one `start_many()` stores, in one transaction."""

    def __init__(self, starter: Starter, requests: Sequence[Request]) -> None:
        self._starter, self._requests = starter, requests
        self._executions = Execution.objects.using(starter.alias)

    def store(self, cursor: CursorWrapper) -> Results:
        new: dict[UUID, Execution] = {}
        # two that want the same keys wait for each other in one order
        for batch in _batches(sorted(self._requests, key=_keys_of)):
            new.update(self._insert(cursor, batch))
        return self._complete(new)

    def read_back(self) -> Results | None:
        """What a commit in doubt has stored, or None."""
        new: dict[UUID, Execution] = {}
        for batch in _batches(self._requests):
            new.update(self._executions.in_bulk([request.id for request in batch]))
        return self._complete(new) if new else None

    def _insert(self, cursor: CursorWrapper, batch: Sequence[Request]) -> dict[UUID, Execution]:
        starter = self._starter
        rows = [(request.id, request.input, request.key, request.idempotency_key) for request in batch]
        table, values = starter.dialect.table(_COLUMNS, rows)
        text, parameters = starter.statement(statements.START_MANY, table=table)
        cursor.execute(text, [*values, *parameters, *starter.name_to_check])
        stored = {read_uuid(row[0]) for row in cursor.fetchall()}
        new = [request for request in batch if request.id in stored]
        # one statement, one time: what holds for the first row holds for all
        if not new or (times := starter.read_times(cursor, new[0])) is None:
            return {}
        handles = Handles(starter.alias, starter.plan, times)
        return {request.id: handles.of(request) for request in new}

    def _complete(self, new: Mapping[UUID, Execution]) -> Results:
        """All results in the order asked for: the new ones, and those found under a key."""
        missing = [request for request in self._requests if request.id not in new]
        same = self._by_key(missing, "idempotency_key") if missing else {}
        missing = [request for request in missing if request.idempotency_key not in same]
        held = self._by_key(missing, "key", key_released=False, completed_at=None) if missing else {}
        return [self._result(request, new, same, held) for request in self._requests]

    def _result(
        self,
        request: Request,
        new: Mapping[UUID, Execution],
        same: Mapping[str | None, Execution],
        held: Mapping[str | None, Execution],
    ) -> tuple[Execution, bool]:
        if request.id in new:
            return new[request.id], True
        if request.idempotency_key in same:
            return same[request.idempotency_key], False
        on_conflict = self._starter.plan.on_conflict
        if request.key in held and on_conflict == "return":
            return held[request.key], False
        if request.key in held and on_conflict == "error":
            raise KeyConflict(self._starter.plan.workflow, str(request.key), held[request.key].id)
        return self._starter.insert_or_find(request)

    def _by_key(self, requests: Sequence[Request], column: str, **conditions: Any) -> dict[str | None, Execution]:
        executions = self._executions.filter(workflow=self._starter.plan.workflow, **conditions)
        found: dict[str | None, Execution] = {}
        for batch in _batches(requests):
            keys = {key for request in batch if (key := getattr(request, column)) is not None}
            found.update(
                {getattr(execution, column): execution for execution in executions.filter(**{f"{column}__in": keys})}
            )
        return found


def _keys_of(request: Request) -> tuple[str, str]:
    return request.idempotency_key or "", request.key or ""


def _batches(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Bounded by rows and by text."""
    batch: list[Request] = []
    characters = 0
    for request in requests:
        if batch and (len(batch) >= BATCH_ROWS or characters + len(request.input) > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(request)
        characters += len(request.input)
    if batch:
        yield batch
