from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_workflows.engine.history.journal import Scope, branch_prefix, iteration_prefix
from django_workflows.engine.history.positions import last_beside, places, superseded_by


def in_order(*keys: str) -> dict[str, int]:
    return {key: number for number, key in enumerate(keys)}


def test_the_step_itself_and_later_ones_go_and_earlier_ones_stay() -> None:
    """FRK-01: steps before the one that failed keep their results."""
    assert superseded_by("3", in_order("1", "2", "3", "4", "5")) == {"3", "4", "5"}


def test_positions_compare_as_numbers() -> None:
    assert superseded_by("9", in_order("1", "2", "9", "10", "11")) == {"9", "10", "11"}
    assert superseded_by("10", in_order("1", "2", "9", "10", "100")) == {"10", "100"}


def test_other_branches_stay_and_what_follows_the_join_goes() -> None:
    recorded = in_order("1", "2.0.1", "2.1.1", "2.1.2", "2.2.1", "2.0.2", "2.0.3", "3", "4.0.1")
    assert superseded_by("2.0.2", recorded) == {"2.0.2", "2.0.3", "3", "4.0.1"}


def test_a_branch_within_a_branch_takes_the_later_calls_of_both_scopes() -> None:
    recorded = in_order("1.0.1", "1.1.1", "1.0.2.1.1", "1.0.2.0.1", "1.0.2.0.2", "1.0.3", "1.1.2", "2")
    assert superseded_by("1.0.2.0.1", recorded) == {"1.0.2.0.1", "1.0.2.0.2", "1.0.3", "2"}


def test_a_map_s_other_children_stay() -> None:
    assert superseded_by("3.1", in_order("1", "3.0", "3.2", "3.1", "3.10", "4")) == {"3.1", "4"}


def test_earlier_iterations_and_the_loop_s_own_row_stay() -> None:
    recorded = in_order("4", "4#17.1", "4#17.2", "4#17.3", "5")
    assert superseded_by("4#17.2", recorded) == {"4#17.2", "4#17.3", "5"}
    assert superseded_by("4#3.1", in_order("4", "4#2.1", "4#2.9", "4#3.1")) == {"4#3.1"}


def test_a_race_keeps_its_decision_and_its_losers() -> None:
    assert superseded_by("5.1.1", in_order("5.0.1", "5.1.1", "5", "6")) == {"5.1.1", "6"}


def test_what_is_within_the_step_goes_with_it() -> None:
    assert superseded_by("4", in_order("4", "4#1.1", "4#2.1.0.3", "5")) == {"4", "4#1.1", "4#2.1.0.3", "5"}
    assert superseded_by("5", in_order("5.0.1", "5.1.1", "5")) == {"5.0.1", "5.1.1", "5"}


def test_a_call_that_was_recorded_before_ran_beside_it_and_stays() -> None:
    """Plain `asyncio.gather(ctx.do(a), ctx.do(b))`: b succeeded while a was still trying."""
    assert superseded_by("1", {"1": 5, "2": 3, "3": 6}) == {"1", "3"}


def test_asyncio_tasks_beside_it_stay_and_those_that_came_of_the_failure_go() -> None:
    recorded = in_order("1", "~2.1", "~1.1", "~2.2", "2", "~3.1", "~3.2")
    assert superseded_by("~1.1", recorded) == {"~1.1", "2", "~3.1", "~3.2"}


def test_later_calls_of_its_own_asyncio_task_go() -> None:
    assert superseded_by("~1.9", in_order("~1.8", "~1.9", "~1.10")) == {"~1.9", "~1.10"}


def test_seen_from_the_workflow_s_scope_a_task_that_began_before_stays() -> None:
    recorded = in_order("~1.1", "1", "2", "~1.2", "~2.1")
    assert superseded_by("2", recorded) == {"2", "~2.1"}


def test_a_call_with_parts_counts_as_one_when_it_began_before() -> None:
    recorded = in_order("2.0.1", "~1.1", "2.1.1", "3")
    assert superseded_by("~1.1", recorded) == {"~1.1", "3"}


def test_a_step_without_a_row_takes_only_later_positions_with_it() -> None:
    assert superseded_by("2", in_order("1", "3")) == {"3"}
    assert superseded_by("2", {}) == set()


@pytest.mark.parametrize("key", ["x", "1.", "1.2.", "~1", "1#2", "#1.1", "~.1", "1..1", "1.0.~", "-1", "1\n"])
def test_a_text_that_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        places(key)


def test_the_last_call_of_each_branch_beside_it() -> None:
    recorded = in_order("1", "2.0.1", "2.1.1", "2.1.2", "2.2.1", "2.0.2")
    assert last_beside("2.0.2", recorded) == {"2.1.2", "2.2.1"}
    assert last_beside("3.1", in_order("3.0", "3.1", "3.2")) == {"3.0", "3.2"}
    assert last_beside("2.0.2.1", in_order("2.1.1", "2.0.2.0", "2.0.2.1")) == {"2.1.1", "2.0.2.0"}


def test_beside_a_race_s_winner_or_a_loop_s_iteration_nothing_stands() -> None:
    assert last_beside("5.0.1", in_order("5.0.1", "5.1.1", "5")) == set()
    assert last_beside("4#2.1", in_order("4", "4#1.1", "4#2.1")) == set()
    assert last_beside("2", in_order("1", "2", "3.0.1")) == set()


def scopes() -> st.SearchStrategy[str]:
    number = st.integers(0, 120)
    parts = st.one_of(
        st.builds(lambda call, branch: branch_prefix(str(call), branch), number, number),
        st.builds(lambda call, iteration: iteration_prefix(str(call), iteration), number, number),
        st.builds(lambda task: f"~{task}.", number),
    )
    return st.lists(parts, max_size=4).map("".join)


@given(scopes(), st.integers(1, 30), st.integers(1, 30))
def test_every_key_that_a_scope_makes_is_understood(prefix: str, calls: int, chosen: int) -> None:
    scope = Scope(prefix)
    recorded = in_order(*(scope.next_key() for _ in range(calls)))
    key = f"{prefix}{min(chosen, calls)}"
    assert places(key)[-1].call == min(chosen, calls)
    assert superseded_by(key, recorded) == set(list(recorded)[min(chosen, calls) - 1 :])
