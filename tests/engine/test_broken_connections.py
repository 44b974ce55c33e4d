"""A connection that broke while Django set it up is renewed: what was asked of it was never done."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from django_workflows.engine.database.errors import ConnectionLost
from django_workflows.engine.database.transactions import single, transact

Ask = Callable[[str, Callable[[CursorWrapper], int]], int]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _on_postgresql(db: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's connections are not set up by statements")


def one(cursor: CursorWrapper) -> int:
    cursor.execute("SELECT 1")
    return int(cursor.fetchone()[0])


@pytest.mark.parametrize("ask", [single, transact])
def test_a_connection_that_was_left_in_the_middle_of_its_set_up_is_lost_and_renewed(ask: Ask) -> None:
    """psycopg then refuses to change its mode, which is no mistake of who asks."""
    connection.close()
    set_up = BaseDatabaseWrapper.set_autocommit

    def begin_something(self: BaseDatabaseWrapper, *args: object, **kwargs: object) -> None:
        self.connection.execute("SELECT 1")  # a transaction is open now
        set_up(self, *args, **kwargs)  # type: ignore[arg-type]  # handed on

    with mock.patch.object(BaseDatabaseWrapper, "set_autocommit", begin_something), pytest.raises(ConnectionLost):
        ask("default", one)
    assert connection.connection is None
    assert ask("default", one) == 1
