"""Trying again: growing pauses, and commits whose answer was lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import OperationalError

from django_workflows.engine.database.backoff import Backoff
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.engine.database.transactions import settled


def test_pauses_grow_up_to_the_longest() -> None:
    backoff = Backoff(first=0.01, longest=0.05)
    pauses = [backoff.next() for _ in range(6)]
    for pause, most in zip(pauses, [0.01, 0.02, 0.04, 0.05, 0.05, 0.05], strict=True):
        assert most / 2 <= pause <= most


def attempts(*outcomes: Exception | str) -> tuple[list[int], Callable[[], str]]:
    """How often it was tried; what to call."""
    made: list[int] = []

    def attempt() -> str:
        outcome = outcomes[len(made)]
        made.append(1)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return made, attempt


@pytest.mark.parametrize("lost", [AmbiguousCommit("no answer"), ConnectionLost("gone")])
def test_a_lost_answer_is_read_back_before_anything_is_done_again(lost: Exception) -> None:
    made, attempt = attempts(lost, "again")
    assert settled(attempt, lambda: "stored", tries=3) == "stored"
    assert len(made) == 1


def test_what_was_not_stored_is_attempted_again() -> None:
    made, attempt = attempts(ConnectionLost("gone"), "again")
    assert settled(attempt, lambda: None, tries=3) == "again"
    assert len(made) == 2


def test_in_the_end_the_error_of_the_database_is_raised() -> None:
    error = ConnectionLost("gone")
    error.__cause__ = OperationalError("server closed the connection")
    made, attempt = attempts(error, error)
    with pytest.raises(OperationalError, match="server closed"):
        settled(attempt, lambda: None, tries=2)
    assert len(made) == 2
