"""How people come and go."""

from __future__ import annotations

from django.db import transaction

from django_workflows.client import send_event
from testproject.newsletter.models import Subscriber
from testproject.newsletter.workflows import newsletter


@transaction.atomic
def subscribe(email: str) -> bool:
    """Begin to send the newsletter; False when that is so already. Who comes back goes on with the next issue."""
    subscriber, is_new = Subscriber.objects.get_or_create(email=email)
    if subscriber.is_active and not is_new:
        return False
    Subscriber.objects.filter(pk=subscriber.pk).update(is_active=True)
    # What is still there of an earlier subscription gives way to the new one.
    newsletter.using(key=email, on_conflict="cancel").start(email, subscriber.last_issue + 1)
    return True


@transaction.atomic
def unsubscribe(email: str) -> None:
    """The subscription ends and the workflow hears of it, or, if this is rolled back, neither."""
    Subscriber.objects.filter(email=email).update(is_active=False)
    send_event("unsubscribed", {"email": email})
