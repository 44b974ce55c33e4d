"""Customers who review what they got, as the demo plays them: they publish events, and know of no workflow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from django_workflows.client import send_event
from django_workflows.models import Execution
from testproject.demo.workflows import read_review
from testproject.shop.models import Order

MOST = 12  # reviews in one demo


class Reviewers:
    """`act()` is called every few seconds. The id of an event makes each review count once, whoever repeats it."""

    def __init__(self) -> None:
        self.posted = 0
        self._stars = cycle((5, 4, 1, 5, 2))

    def act(self) -> Iterator[str]:
        shipped = Order.objects.filter(status=Order.Status.SHIPPED).order_by("number")
        for order in shipped[self.posted : min(self.posted + 2, MOST)]:
            self.posted += 1
            stars = next(self._stars)
            data = {"order": order.number, "email": order.email, "stars": stars}
            send_event("review.posted", data, id=f"review-{order.number}", source="the demo")
            yield f"The order {order} gets {stars} stars: an event, and whoever has a trigger for it starts."
        yield from self.answer()

    def answer(self) -> Iterator[str]:
        """One who was not content is asked, and answers; others do not."""
        for execution in Execution.objects.waiting().filter(workflow=read_review.name)[:1]:
            order = execution.input["event"]["data"]["order"]
            send_event("review.answered", {"order": order, "text": "It was late."}, id=f"answer-{order}")
            yield f"The customer of {order} says why: an event that wakes the execution which waits for it."
