"""The table of transitions is what turns do to an execution: no more, no less."""

from __future__ import annotations

from django_workflows.engine.commit.after_turn import STATUS_AFTER, VERBS
from django_workflows.engine.commit.values import End
from django_workflows.models import Status
from django_workflows.models.statuses import OPERATOR_VERBS, TRANSITIONS


def test_every_end_of_a_turn_is_a_transition_and_nothing_else_is() -> None:
    table = {verb: moves for verb, moves in TRANSITIONS.items() if verb not in {*OPERATOR_VERBS, "claim"}}
    assert set(VERBS) == set(End)
    assert table == {VERBS[end]: {Status.RUNNING: after} for end, after in STATUS_AFTER.items()}
