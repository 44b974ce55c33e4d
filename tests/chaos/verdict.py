"""What is looked at in the end: what was acknowledged, the ledger outside, the business, and every invariant."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Sum

from django_workflows.inspection.doctor import examine
from django_workflows.models import FINISHED, Event, Execution, Signal, StepResult
from testproject.billing.models import Invoice
from testproject.shop.models import Order, Product, Shipment
from tests.chaos.load import Acknowledged

STOCK = 1_000_000

# by table: rows that mean the same effect twice
LEDGER = {
    "an order charged twice": "SELECT order_number FROM charges GROUP BY order_number HAVING count(*) > 1",
    "a charge given back twice": "SELECT charge_id FROM refunds GROUP BY charge_id HAVING count(*) > 1",
}
CHARGES = "SELECT order_number FROM charges"
REFUNDED = "SELECT c.order_number FROM refunds r JOIN charges c ON c.id = r.charge_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Each list names what is wrong; all are empty when the promises were kept."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # invariants

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.duplicated or self.stuck or self.broken)


def judge(acknowledged: Iterable[Acknowledged], ledger: Path) -> Verdict:
    told = list(acknowledged)
    return Verdict(
        lost=[*_lost(told), *_lost_effects(ledger)],
        duplicated=[*_started_twice(), *_charged_twice(ledger), *_done_twice()],
        stuck=[
            f"{execution} is {execution.status}: {execution.reason}" for execution in Execution.objects.unfinished()
        ],
        broken=[*_invariants(), *_shelves()],
    )


def _lost(told: list[Acknowledged]) -> Iterator[str]:
    """Acknowledged starts = executions; acknowledged messages = stored messages."""
    executions = set(Execution.objects.values_list("id", flat=True))
    signals: set[tuple[UUID, str]] = set(
        Signal.objects.exclude(message_id=None).values_list("execution_id", "message_id")  # type: ignore[arg-type]  # excluded
    )
    events = set(Event.objects.exclude(event_id=None).values_list("event_id", flat=True))
    for one in told:
        yield from (f"start of {what}" for what, id in one.executions.items() if id not in executions)
        yield from (f"signal {name!r} to {id}" for id, name in one.signals - signals)
        yield from (f"event {id!r}" for id in one.events - events)


def _lost_effects(ledger: Path) -> Iterator[str]:
    """Who paid has the parcel or the money; who has the parcel paid."""
    charged, refunded = _ask(ledger, CHARGES), _ask(ledger, REFUNDED)
    finished = Execution.objects.for_workflow("fulfil").completed().values_list("idempotency_key", flat=True)
    for order in Order.objects.filter(number__in=list(finished)):
        paid = order.number in charged and order.number not in refunded
        if paid != (order.status == Order.Status.SHIPPED):
            yield f"order {order.number} is {order.status}, {'paid' if paid else 'not paid'}"
    shipped = set(Shipment.objects.values_list("order__number", flat=True))
    for number in Order.objects.filter(status=Order.Status.SHIPPED).values_list("number", flat=True):
        if number not in shipped:
            yield f"order {number} has no parcel"
    for execution in Execution.objects.for_workflow("invoice_customer").completed():
        if not Invoice.objects.filter(pk=execution.output).exists():
            yield f"invoice {execution.output} of {execution}"


def _started_twice() -> Iterator[str]:
    """One execution per key, and no child started twice from one position."""
    keyed = Execution.objects.exclude(idempotency_key=None).values("workflow", "idempotency_key")
    for row in keyed.order_by().annotate(count=Count("pk")).filter(count__gt=1):
        yield f"{row['count']} executions for {row['workflow']} {row['idempotency_key']}"
    rows = StepResult.objects.filter(kind="child", superseded=0).exclude(child_id=None)
    known: set[Any] = set(rows.values_list("child_id", flat=True))
    for child in Execution.objects.exclude(parent=None).exclude(pk__in=known):
        yield f"{child} is the child of no step"


def _charged_twice(ledger: Path) -> Iterator[str]:
    for what, query in LEDGER.items():
        yield from (f"{what}: {row}" for row in _ask(ledger, query))


def _done_twice() -> Iterator[str]:
    """Transactional steps took effect once: one invoice for each completed execution of it."""
    invoices, executions = (
        Invoice.objects.count(),
        Execution.objects.for_workflow("invoice_customer").completed().count(),
    )
    if invoices > executions:
        yield f"{invoices} invoices of {executions} executions"
    outcomes = StepResult.objects.filter(superseded=0, status__in=("succeeded", "failed", "skipped"))
    rows = outcomes.order_by().values("execution", "generation", "key")
    for row in rows.annotate(count=Count("pk")).filter(count__gt=1):
        yield f"{row['count']} outcomes at {row['key']} of {row['execution']}"


def _shelves() -> Iterator[str]:
    """What is missing on the shelves is what was reserved: stock was taken exactly once for each order."""
    taken = {Order.Status.RESERVED, Order.Status.SHIPPED}
    for product in Product.objects.all():
        sold = product.orders.filter(status__in=taken).aggregate(sum=Sum("quantity"))["sum"] or 0
        if product.stock + sold != STOCK:
            yield f"{product}: {product.stock} on the shelf, {sold} sold, {STOCK} at the beginning"


def _invariants() -> Iterator[str]:
    diagnosis = examine(history=None)
    yield from (f"{finding.check}: {finding.problem}" for finding in diagnosis.findings)
    restless = Execution.objects.filter(status__in=FINISHED).exclude(wake_at=None, claimed_by=None, requested="")
    yield from (f"{execution} has ended, and still has a timer, a worker or a wish" for execution in restless)
    uncounted = StepResult.objects.filter(status="succeeded", kind="step", attempts__lt=F("lost") + 1)
    yield from (f"{step} of {step.execution_id} succeeded without an attempt" for step in uncounted)
    for execution, claims in _claims().items():
        if claims != sorted(claims):
            yield f"the claims of successive results of {execution} go down: {claims}"


def _claims() -> dict[tuple[UUID, int], list[int]]:
    """By execution and generation, the claims of outcomes in the order in which they were recorded."""
    rows = StepResult.objects.filter(superseded=0, kind="step").exclude(completed_at=None)
    found: dict[tuple[UUID, int], list[int]] = {}
    for id, generation, claim in rows.order_by("seq").values_list("execution_id", "generation", "claim"):
        found.setdefault((id, generation), []).append(claim)
    return found


def _ask(ledger: Path, query: str) -> set[str]:
    with sqlite3.connect(ledger) as connection:
        found = {str(row[0]) for row in connection.execute(query)}
    connection.close()
    return found


def statuses() -> Counter[str]:
    return Counter(dict(Execution.objects.order_by().values_list("status").annotate(Count("pk"))))
