"""Whether publishing and dispatching cost no more beside ten thousand open waits and a thousand triggers than alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.protocol import Measurement, Reading, Sizes, note, percentile
from django_workflows import clock, codec, services
from django_workflows.authoring.triggers import on
from django_workflows.client import send_event
from django_workflows.engine.events.published import keys_of
from django_workflows.models import Execution, Status, StepResult, Trigger

NAME = "order.paid"  # that all waits and most triggers are for, with other values
WARM_UP = 20

Times = dict[str, list[float]]


def crowd(sizes: Sizes) -> Reading:
    """The same events before and after the crowd came; then events that one wait and one trigger of it want."""
    alone = _sampled(sizes["samples"], lambda _: {"order": -1})
    _make_waits(sizes["waits"])
    _make_triggers(sizes["triggers"])
    note(f"{sizes['waits']:,} waits and {sizes['triggers']:,} triggers")
    beside = _sampled(sizes["samples"], lambda _: {"order": -1})
    wanted = _sampled(sizes["samples"], lambda number: {"order": number})
    started = Execution.objects.filter(trigger_id__isnull=False).count()
    figures = {
        "publish": percentile(beside["publish"], 99),
        "publish_times": median(beside["publish"]) / median(alone["publish"]),
        "dispatch": percentile(beside["dispatch"], 99),
        "dispatch_times": median(beside["dispatch"]) / median(alone["dispatch"]),
        "wanted": percentile(wanted["dispatch"], 99),
    }
    return Reading(figures=figures, completed=started, expected=min(sizes["samples"] + WARM_UP, sizes["triggers"] // 2))


def _sampled(count: int, data: Callable[[int], Any]) -> Times:
    """Milliseconds of each call, one event after the other."""
    times: Times = {"publish": [], "dispatch": []}
    for number in range(count + WARM_UP):
        began = time.perf_counter()
        send_event(NAME, data(number))
        published = time.perf_counter()
        services.dispatch("default")
        times["publish"].append((published - began) * 1000)
        times["dispatch"].append((time.perf_counter() - published) * 1000)
    return {name: values[WARM_UP:] for name, values in times.items()}


def _make_waits(count: int) -> None:
    """Executions that wait for the event, each for another order."""
    now = clock.database_now()
    common: dict[str, Any] = {"workflow": "one_step", "status": Status.WAITING, "claim": 1, "input": {"number": 1}}
    rows = [Execution(id=uuid4(), created_at=now, updated_at=now, started_at=now, **common) for _ in range(count)]
    Execution.objects.bulk_create(rows, batch_size=1_000)
    waits = []
    for number, row in enumerate(rows):
        match = {"order": number}
        hashed = {"match_keys": keys_of(match), "match_hash": codec.match_hash(match)}
        waits.append(
            StepResult(
                execution=row, key="1", seq=1, name=NAME, kind="event", status="scheduled", created_at=now, **hashed
            )
        )
    StepResult.objects.bulk_create(waits, batch_size=1_000)


def _make_triggers(count: int) -> None:
    """Half of them for the event with other values, the others for other names and patterns."""
    others = ("order.*", "*.refunded", "stock.**", "invoice.sent")
    rows = []
    for number in range(count):
        pattern = NAME if number < count // 2 else others[number % len(others)]
        where = {"order": number} if pattern == NAME else {"order": number, "other": True}
        made = on(pattern, where=where, input={"number": number})
        columns = {"type": made.type, "pattern": made.pattern, "variant": made.variant, "config": dict(made.config)}
        rows.append(Trigger(workflow="on_event", **columns))
    Trigger.objects.bulk_create(rows, batch_size=500)


MEASUREMENTS: dict[str, Measurement] = {"events": crowd}
