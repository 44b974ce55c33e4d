"""What a claim takes, asked of the database directly."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection, transaction

from django_workflows.clock import database_now
from django_workflows.engine.claims import claims
from django_workflows.engine.claims.claims import ClaimLimit
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.models import Execution

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "a, b", "{c}", "NULL", "ü's  ☃", "%s"])
def test_names_are_compared_as_they_are(name: str) -> None:
    """The names that a worker serves go into the statement as one text, in which some characters mean something."""
    now = database_now()
    for workflow in (name, f"{name}!", "other"):
        Execution.objects.create(
            workflow=workflow, version=2, queue="default", wake_at=now, created_at=now, updated_at=now
        )
    limits = ClaimLimit(served=(("first", 1), (name, 2), ("other", 1)), limit=10)
    with transaction.atomic(), connection.cursor() as cursor:
        place = ("default", 0)
        taken = claims.claim(cursor, dialect_of(connection), place, limits, worker=uuid4(), lease=30.0)
    assert [claimed.workflow for claimed in taken] == [name]
