"""The generated parts of the docs: how they are made, and that they are current."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_workflows.models.statuses import FINISHED, TRANSITIONS
from docs import generate
from docs.generate import Group


def test_the_pages_are_current() -> None:
    assert generate.out_of_date() == [], "run: python docs/generate.py"


def test_every_scenario_has_a_test_or_says_what_it_waits_for() -> None:
    assert generate.unexplained(generate.load_scenarios(), generate.find_tests(generate.TESTS).keys()) == []


def test_no_test_names_a_scenario_that_does_not_exist() -> None:
    known = {id for group in generate.load_scenarios() for id in group.scenarios}
    groups = {group.name for group in generate.load_scenarios()}
    named = {id for id in generate.find_tests(generate.TESTS) if id[:3] in groups}
    assert named <= known


def test_every_change_of_status_is_in_one_of_the_pictures() -> None:
    pictures = "".join(generate.diagrams().values())
    moves = {(str(before), str(after)) for table in TRANSITIONS.values() for before, after in table.items()}
    missing = [f"{before} --> {after}" for before, after in moves if before != after]
    assert [arrow for arrow in missing if arrow not in pictures] == []


def test_a_diagram_has_one_arrow_for_two_statuses() -> None:
    table = {"take": {"here": "there"}, "grab": {"here": "there"}, "look": {"here": "here"}, "end": {"there": "gone"}}
    lines = generate.state_diagram(table, start="here", finished=["gone"]).splitlines()
    assert lines[2:-1] == [
        "    [*] --> here: start",
        "    here --> there: take, grab",
        "    there --> gone: end",
        "    gone --> [*]",
    ]


def test_only_what_is_between_the_markers_is_replaced() -> None:
    page = "before\n<!-- generated: x -->\nold\n<!-- end of x -->\nafter\n"
    filled = generate.fill(page, {"x": "new\n"})
    assert filled == "before\n<!-- generated: x -->\n\nnew\n\n<!-- end of x -->\nafter\n"
    assert generate.fill(filled, {"x": "new"}) == filled


def test_a_docstring_names_the_scenarios_of_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_one.py").write_text(
        '"""ABC-01."""\ndef test_a():\n    """ABC-02, ABC-03: so it is."""\nclass TestB:\n'
        '    async def test_b(self):\n        """It is so (ABC-03)."""\ndef helper():\n    """ABC-04."""\n'
    )
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    file = Path("test_one.py")
    assert generate.find_tests([tmp_path]) == {
        "ABC-01": [(file, "")],
        "ABC-02": [(file, "test_a")],
        "ABC-03": [(file, "test_a"), (file, "test_b")],
    }


def test_a_scenario_without_test_or_reason_is_found() -> None:
    group = Group(name="ABC", title="t", scenarios={"ABC-01": "a", "ABC-02": "b", "ABC-03": "c"}, waits={"02": "later"})
    assert generate.unexplained([group], {"ABC-01"}) == ["ABC-03"]
    waiting = Group(name="ABC", title="t", scenarios={"ABC-01": "a"}, waits={"all": "later"})
    assert generate.unexplained([waiting], set()) == []


def test_finished_statuses_lead_nowhere_but_to_a_retry() -> None:
    """PAU-09: what the pages say of verbs that apply."""
    after_the_end = {verb: moves for verb, moves in TRANSITIONS.items() if FINISHED & moves.keys()}
    assert list(after_the_end) == ["retry"]
