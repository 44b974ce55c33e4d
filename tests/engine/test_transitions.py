"""The table of transitions is what turns do to an execution: no more, no less."""

from __future__ import annotations

from django_workflows.engine.commit.transaction import _STATUS_AFTER
from django_workflows.engine.commit.values import End
from django_workflows.models import Status
from django_workflows.models.statuses import OPERATOR_VERBS, TRANSITIONS

# where the engine's word for an ending is also an operator's verb
OTHER_WORDS = {End.PAUSE: "park", End.CANCEL: "cancel itself"}


def test_every_end_of_a_turn_is_a_transition_and_nothing_else_is() -> None:
    table = {verb: moves for verb, moves in TRANSITIONS.items() if verb not in {*OPERATOR_VERBS, "claim"}}
    ends = {OTHER_WORDS.get(end, end.value): {Status.RUNNING: after} for end, after in _STATUS_AFTER.items()}
    assert table == ends
