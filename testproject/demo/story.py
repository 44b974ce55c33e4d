"""What happens in the demo: executions of every example, and people who approve, resize, destroy and unsubscribe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from django.utils import timezone

from django_workflows import TransitionError, triggers
from django_workflows.models import Execution, Trigger
from testproject import shop
from testproject.billing.workflows import bill_customers, invoice_customer
from testproject.demo import inspectors
from testproject.demo.workflows import read_review
from testproject.domains.workflows import set_up_domain
from testproject.github.workflows import github_delivery, summarise_checks
from testproject.newsletter.models import Subscriber
from testproject.newsletter.subscriptions import subscribe, unsubscribe
from testproject.newsletter.workflows import newsletter
from testproject.servers import control
from testproject.servers.models import Server
from testproject.servers.workflows import server_life
from testproject.shop.approval import approve
from testproject.shop.models import Order
from testproject.shop.workflows import LARGE, fulfil, ship

ORDERS = Path(shop.__file__).with_name("orders.csv")
SERVERS = {"web-1": "small", "web-2": "small", "database": "large", "mail": "medium", "build": "medium"}
BILLING = "every minute"
READERS = [f"reader-{number}@example.com" for number in range(1, 13)]

ENDING = [
    definition.name
    for definition in (
        fulfil,
        ship,
        bill_customers,
        invoice_customer,
        github_delivery,
        summarise_checks,
        set_up_domain,
        read_review,
    )
] + [inspectors.MOVE]
LASTING = [definition.name for definition in (server_life, newsletter)]  # until somebody ends them


def begin() -> Iterator[str]:
    """Start whatever has not been started by an earlier demo; says what it does."""
    said = StringIO()
    call_command("import_orders", str(ORDERS), stdout=said)
    yield f"manage.py import_orders {ORDERS.name}: {said.getvalue().strip()}"

    period = timezone.localdate().strftime("%Y-%m")
    schedule = billing_schedule()
    triggers.enable(schedule)
    triggers.fire(schedule, {"period": period}, idempotency_key=period)
    yield f"All customers get their invoice for {period}, once; {schedule.pattern} the schedule looks for new ones."

    known = set(Server.objects.values_list("name", flat=True))
    new = sorted(SERVERS.keys() - known)
    for name in new:
        control.rent(name, SERVERS[name])
    yield f"{len(new)} servers are rented, {len(known)} have been before."

    known = set(Subscriber.objects.values_list("email", flat=True))
    readers = [email for email in READERS if email not in known]
    for email in readers:
        subscribe(email)
    yield f"{len(readers)} people subscribe to the newsletter, {len(known)} have before."
    yield from inspectors.begin()
    if not unfinished([*ENDING, *LASTING]):
        yield "All that has finished in an earlier demo; for a new one delete the database."


def billing_schedule() -> Trigger:
    """Beside that of the code, "first of month at 6am", which is too far away for a demo."""
    found = Trigger.objects.filter(workflow=bill_customers.name, type="schedule", pattern=BILLING).first()
    return found or triggers.create(bill_customers.name, "schedule", BILLING)


class People:
    """What people do while it all runs; `act()` is called every few seconds."""

    def __init__(self) -> None:
        self.acts = 0
        self.approved: set[str] = set()

    def act(self) -> Iterator[str]:
        self.acts += 1
        yield from self.approve_some()
        if self.acts % 5 == 2:
            yield from self.resize_one()
        if self.acts == 6:
            yield from self.destroy_one()
        if self.acts == 8:
            yield from self.unsubscribe_one()

    def approve_some(self, most: int = 2) -> Iterator[str]:
        """Large orders, but not all: who finds no approval in time gets the money back."""
        waiting = Order.objects.filter(status=Order.Status.RESERVED, amount__gte=LARGE).order_by("number")
        waiting = waiting.exclude(number__in=self.approved).exclude(number__endswith="7")
        for order in waiting[:most]:
            self.approved.add(order.number)
            with suppress(TransitionError):  # it was too late
                approve(order, by="the demo")
                yield f"The order {order} over {order.amount:,} € is approved."

    def resize_one(self) -> Iterator[str]:
        sizes = Server.Size.values
        if (server := Server.objects.filter(status=Server.Status.RUNNING).first()) is not None:
            size = sizes[(sizes.index(server.size) + 1) % len(sizes)]
            control.resize(server.name, size)
            yield f"The server {server} is to become {size}."

    def destroy_one(self) -> Iterator[str]:
        running = Server.objects.filter(status=Server.Status.RUNNING)
        if running.count() > 2 and (server := running.first()) is not None:
            control.destroy(server.name)
            yield f"The server {server} is to be destroyed."

    def unsubscribe_one(self) -> Iterator[str]:
        readers = Subscriber.objects.filter(is_active=True)
        if readers.count() > 2 and (reader := readers.first()) is not None:
            unsubscribe(reader.email)
            yield f"{reader} has unsubscribed."


def unfinished(names: list[str]) -> bool:
    return Execution.objects.unfinished().filter(workflow__in=names).exists()


def wind_up() -> Iterator[str]:
    """End what would go on for years."""
    triggers.disable(billing_schedule(), "The demo is over.")
    for reader in Subscriber.objects.filter(is_active=True):
        unsubscribe(reader.email)
    lives = Execution.objects.for_workflow(server_life).unfinished()
    for name in lives.values_list("key", flat=True):
        control.destroy(str(name))
    yield "All orders and invoices are done: everybody unsubscribes, and all servers are to be destroyed."
