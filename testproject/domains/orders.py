"""What customers do with their domains."""

from __future__ import annotations

from django.db import transaction

from testproject.domains.models import Domain
from testproject.domains.workflows import set_up_domain


def order(name: str, address: str) -> Domain:
    """Bring a domain along. One that failed or was refused may be ordered again."""
    with transaction.atomic():  # the row and the start are committed together, or neither is
        values = {"address": address, "status": Domain.Status.ORDERED, "note": ""}
        domain, _ = Domain.objects.update_or_create(name=name, defaults=values)
        set_up_domain.using(key=name).start(name, address)
    return domain
