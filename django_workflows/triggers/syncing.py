"""The triggers of the code, and those of definitions, as rows.

`migrate` makes the rows what the code says, and retires those that the code no longer has; a worker's start only adds
what is missing, so that an old one that restarts in the middle of a deploy undoes nothing. `enabled`, the counts and
the notes belong to the operator and survive both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from django_workflows.authoring.registry import registry
from django_workflows.authoring.triggers import TriggerDefinition
from django_workflows.clock import database_now
from django_workflows.engine.database.transactions import repeated
from django_workflows.models import Trigger, TriggerOrigin
from django_workflows.triggers.planning import PLANNED, plan_anew

logger = logging.getLogger("django_workflows")

Identity = tuple[str, str, str, str]  # workflow, type, pattern, variant
Wanted = Mapping[Identity, TriggerDefinition]


@dataclass(frozen=True, slots=True)
class Origin:
    """What triggers come from, and the user through whom they came."""

    name: str
    made_by: str = ""


def sync(alias: str, *, only_missing: bool) -> None:
    """Write the triggers of the code into the table."""
    wanted = _by_identity((found.name, found.options.triggers) for found in registry.workflows())
    scope = Q(origin=TriggerOrigin.CODE) | Q(workflow__in={workflow for workflow, *_ in wanted})
    _write(alias, wanted, scope, Origin(TriggerOrigin.CODE), only_missing=only_missing)


def declare(alias: str, workflow: str, triggers: Iterable[TriggerDefinition], *, origin: Origin) -> None:
    """Give a workflow exactly these triggers of this origin; what an operator added stays."""
    _write(alias, _by_identity([(workflow, triggers)]), Q(workflow=workflow), origin, only_missing=False)


def _by_identity(triggers: Iterable[tuple[str, Iterable[TriggerDefinition]]]) -> dict[Identity, TriggerDefinition]:
    return {(workflow, *trigger.identity): trigger for workflow, found in triggers for trigger in found}


def _write(alias: str, wanted: Wanted, scope: Q, origin: Origin, *, only_missing: bool) -> None:
    repeated(alias, lambda: _write_once(alias, wanted, scope, origin, only_missing=only_missing))


def _write_once(alias: str, wanted: Wanted, scope: Q, origin: Origin, *, only_missing: bool) -> None:
    now = database_now(alias)
    known = {_identity(row): row for row in Trigger.objects.using(alias).filter(scope)}
    if not only_missing:
        # first what goes: another workflow may take over the path of a webhook
        _retire(alias, [row for key, row in known.items() if row.origin == origin.name and key not in wanted], now)
        _update(alias, [(known[key], trigger) for key, trigger in wanted.items() if key in known], origin, now)
    missing = [_row(key, trigger, origin, now) for key, trigger in wanted.items() if key not in known]
    Trigger.objects.using(alias).bulk_create(missing, ignore_conflicts=True)
    _tell_refused(alias, missing)


def _identity(row: Trigger) -> Identity:
    return row.workflow, row.type, row.pattern, row.variant


def _row(key: Identity, definition: TriggerDefinition, origin: Origin, now: datetime) -> Trigger:
    workflow, type, pattern, variant = key
    row = Trigger(workflow=workflow, type=type, pattern=pattern, variant=variant)
    row.origin, row.made_by = origin.name, origin.made_by
    row.config = dict(definition.config)
    plan_anew(row, now)
    return row


def _retire(alias: str, rows: Iterable[Trigger], now: datetime) -> None:
    for row in rows:
        if row.retired_at is None:
            row.retired_at, row.next_at = now, None
            row.save(using=alias, update_fields=["retired_at", "next_at", "updated_at"])


def _update(alias: str, pairs: Iterable[tuple[Trigger, TriggerDefinition]], origin: Origin, now: datetime) -> None:
    for row, definition in pairs:
        wanted = (origin.name, origin.made_by, dict(definition.config), None)
        if (row.origin, row.made_by, row.config, row.retired_at) == wanted:
            continue
        comes_back = row.retired_at is not None
        columns = ["origin", "made_by", "config", "retired_at", "updated_at"]
        row.origin, row.made_by, row.retired_at = origin.name, origin.made_by, None
        row.config = dict(definition.config)
        if comes_back:
            plan_anew(row, now)
            columns += PLANNED
        row.save(using=alias, update_fields=columns)


def _tell_refused(alias: str, missing: list[Trigger]) -> None:
    """`ON CONFLICT DO NOTHING` is silent; a path that somebody else has is worth a line."""
    stored = set(Trigger.objects.using(alias).filter(pk__in=[row.pk for row in missing]).values_list("pk", flat=True))
    for row in missing:
        taken = Trigger.objects.using(alias).filter(type=row.type, pattern=row.pattern, retired_at=None)
        if row.pk not in stored and (other := taken.exclude(workflow=row.workflow).first()) is not None:
            logger.error(
                "The webhook %r of %s is not there: %s has this path.", row.pattern, row.workflow, other.workflow
            )
