"""Customers: they start executions and send messages all the time, and write down what was acknowledged.

Whoever gets no answer asks again with the same key, as real callers do, until there is one.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection, transaction

from django_workflows import TransitionError, client
from testproject.billing.models import Customer
from testproject.billing.workflows import Bill, bill_customers, invoice_customer
from testproject.newsletter.models import Subscriber
from testproject.newsletter.workflows import newsletter
from testproject.servers.models import Server
from testproject.servers.workflows import server_life
from testproject.shop.models import Order, Product
from testproject.shop.workflows import LARGE, fulfil

T = TypeVar("T")

CUSTOMERS, FORMER = 30, 2000  # those who are billed together, and those who get single invoices
BILLING_SECONDS = 20.0
PAUSE = 0.05  # between two acts of one customer


@dataclass(slots=True)
class Acknowledged:
    """What somebody was told that it is stored."""

    executions: dict[str, UUID] = field(default_factory=dict)  # by what they were asked for
    signals: set[tuple[UUID, str]] = field(default_factory=set)  # execution, id of the message
    events: set[str] = field(default_factory=set)  # ids
    repeated: int = 0  # calls that got no answer at first


@dataclass(order=True, slots=True)
class Errand:
    """Something to be done later."""

    at: float
    number: int
    act: Callable[[], object] = field(compare=False)


class Load:
    """One thread of customers; `stop()` lets them finish what they have begun: every server and subscription ends."""

    def __init__(self, seed: int, name: str) -> None:
        self.acknowledged = Acknowledged()
        self.broken: BaseException | None = None
        self._random, self._name, self._count = Random(f"{seed} {name}"), name, 0
        self._errands: list[Errand] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"load-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, patience: float) -> bool:
        """Whether they came to their end."""
        self._ending.set()
        self._thread.join(patience)
        return not self._thread.is_alive()

    # the days of a customer

    def _live(self) -> None:
        acts = [(self._order, 10), (self._invoice, 6), (self._rent, 2), (self._subscribe, 2)]
        self._later(1.0, self._bill)
        try:
            while self._errands or not self._ending.is_set():
                if not self._ending.is_set():
                    self._count += 1
                    self._random.choices([act for act, _ in acts], [weight for _, weight in acts])[0](self._count)
                self._run_errands()
                time.sleep(PAUSE * self._random.uniform(0.2, 1.8))
        except BaseException as error:
            self.broken = error
        finally:
            connection.close()

    def _run_errands(self) -> None:
        while self._errands and self._errands[0].at <= time.monotonic():
            heapq.heappop(self._errands).act()

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._errands, Errand(time.monotonic() + seconds, self._count, act))

    def _insist(self, act: Callable[[], T]) -> T:
        """Ask until there is an answer."""
        while True:
            try:
                return act()
            except (DatabaseError, InterfaceError):
                self.acknowledged.repeated += 1
                connection.close()
                time.sleep(0.1)

    # orders

    def _order(self, number: int) -> None:
        name = f"{self._name}{number:06}"
        product, quantity = self._random.choice(PRODUCTS), self._random.randint(1, 3)

        @transaction.atomic
        def place() -> UUID:
            """The order and its execution are one commit."""
            chosen = Product.objects.get(sku=product)
            amount = chosen.price * quantity
            values = {"email": f"{name}@example.com", "product": chosen, "quantity": quantity, "amount": amount}
            order, _ = Order.objects.get_or_create(number=name, defaults=values)
            return fulfil.using(idempotency_key=name).start(name, order.amount).id

        id = self.acknowledged.executions[f"order {name}"] = self._insist(place)
        if self._random.random() < 0.5:
            self._later(
                self._random.uniform(0, 4), lambda: self._signal(id, "approved", {"by": "the boss"}, "approved")
            )

    def _signal(self, id: UUID, name: str, data: object, message_id: str) -> None:
        try:
            self._insist(lambda: client.signal(id, name, data, message_id=message_id))
        except TransitionError:
            return  # it was too late, and the sender knows
        self.acknowledged.signals.add((id, message_id))

    # invoices

    def _invoice(self, number: int) -> None:
        period = f"{self._name[0]}{number:06}"
        customer = FIRST_CUSTOMER + CUSTOMERS + self._random.randrange(FORMER)
        wanted = invoice_customer.using(idempotency_key=f"{customer} {period}")
        start = partial(wanted.start, Bill(customer_id=customer, period=period))
        self.acknowledged.executions[f"invoice {customer} {period}"] = self._insist(start).id

    def _bill(self) -> None:
        """Everybody at once."""
        self._count += 1
        period = f"{self._name[0].upper()}{self._count:06}"
        start = partial(bill_customers.using(idempotency_key=period).start, period)
        self.acknowledged.executions[f"bills {period}"] = self._insist(start).id
        if not self._ending.is_set():
            self._later(BILLING_SECONDS, self._bill)

    # servers

    def _rent(self, number: int) -> None:
        name = f"server-{self._name}{number}"
        wanted = server_life.using(key=name)
        id = self.acknowledged.executions[name] = self._insist(lambda: wanted.start(name).id)
        age = 0.0
        for change in range(self._random.randint(0, 3)):
            age += self._random.uniform(0, 4)
            size = self._random.choice(Server.Size.values)
            self._later(age, partial(self._signal, id, "resize", size, f"resize {change}"))
        self._later(age + self._random.uniform(0, 4), lambda: self._signal(id, "destroy", None, "destroy"))

    # the newsletter

    def _subscribe(self, number: int) -> None:
        email = f"{self._name}{number}@example.com"

        @transaction.atomic
        def subscribe() -> UUID:
            Subscriber.objects.get_or_create(email=email)
            return newsletter.using(idempotency_key=email).start(email).id

        self.acknowledged.executions[f"reader {email}"] = self._insist(subscribe)
        self._later(self._random.uniform(0, 8), lambda: self._unsubscribe(email))

    def _unsubscribe(self, email: str) -> None:
        @transaction.atomic
        def unsubscribe() -> None:
            Subscriber.objects.filter(email=email).update(is_active=False)
            client.send_event("unsubscribed", {"email": email}, id=f"leaves {email}")

        self._insist(unsubscribe)
        self.acknowledged.events.add(f"leaves {email}")


PRODUCTS: list[str] = []
FIRST_CUSTOMER = 1


def prepare() -> None:
    """Products that do not run out, and customers."""
    Product.objects.update(stock=1_000_000)
    PRODUCTS.extend(Product.objects.values_list("sku", flat=True))
    assert Product.objects.filter(price__gte=LARGE / 3).exists()
    customers = [
        Customer(name=f"Customer {n}", email=f"customer-{n}@example.com", monthly_fee=9, is_active=n < CUSTOMERS)
        for n in range(CUSTOMERS + FORMER)
    ]
    Customer.objects.bulk_create(customers)
