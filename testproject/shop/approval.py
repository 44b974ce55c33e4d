"""How a person says yes to a large order that waits."""

from __future__ import annotations

from django_workflows.models import Execution
from testproject.shop.models import Order
from testproject.shop.workflows import fulfil


def approve(order: Order, by: str) -> None:
    """Let the order go on. Saying it twice counts once; raises `TransitionError` when the order is settled already."""
    execution = Execution.objects.for_workflow(fulfil).get(idempotency_key=order.number)
    execution.signal("approved", {"by": by}, message_id="approved")
