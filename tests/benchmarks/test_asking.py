"""How a system is asked: rounds, sizes, and answers that may be missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pytest

from benchmarks import rounds
from benchmarks.catalogue import MEASURES, Figure, Measure
from benchmarks.ours.measurements import MEASUREMENTS as OURS
from benchmarks.protocol import Reading, answer, cannot, percentile, read, wait_until
from benchmarks.systems import System

FIGURES = (Figure(name="rate", title="rate", unit="steps/s"),)
QUICK = Measure(id="W1", title="", figures=FIGURES, sizes={"executions": 1000, "steps": 10}, peers={"executions": 50})
SLOW = Measure(id="claims", title="", figures=FIGURES, sizes={"rows": 5}, is_slow=True)


class Recorder(System):
    """A system that only remembers what it was asked."""

    asked: list[tuple[str, str, Mapping[str, int]]] = []

    def ask(self, name: str, sizes: Mapping[str, int], url: str, settings: Any = None) -> Reading:
        self.asked.append((self.name, name, sizes))
        return Reading(cannot="It cannot.") if self.name == "absurd" else Reading(figures={"rate": 1.0})


class NoDatabases:
    @contextmanager
    def fresh(self, system: System, *, sqlite: bool = False) -> Iterator[str]:
        yield "sqlite://"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Mapping[str, int]]]:
    monkeypatch.setattr(Recorder, "asked", [])
    return Recorder.asked


def systems(*names: str) -> list[System]:
    return [Recorder(name, ()) for name in names]


def measured(measures: list[Measure], names: list[str], *, count: int, scale: float = 1.0) -> list[rounds.Result]:
    databases: Any = NoDatabases()
    return rounds.measured(measures, systems(*names), databases, rounds=count, scale=scale)


def test_each_round_asks_one_system_after_the_other(asked: list[tuple[str, str, Mapping[str, int]]]) -> None:
    results = measured([QUICK, SLOW], ["ours", "dbos"], count=2)
    assert [(who, what) for who, what, _ in asked] == [
        ("ours", "W1"),
        ("dbos", "W1"),
        ("ours", "claims"),
        ("ours", "W1"),
        ("dbos", "W1"),
    ]
    assert [(result.system, len(result.readings)) for result in results] == [("ours", 2), ("dbos", 2), ("ours", 1)]


def test_who_cannot_is_not_asked_again(asked: list[tuple[str, str, Mapping[str, int]]]) -> None:
    (result,) = measured([QUICK], ["absurd"], count=3)
    assert len(asked) == 1
    assert result.cannot == "It cannot."


def test_amounts_are_scaled_and_what_is_measured_is_not(asked: list[tuple[str, str, Mapping[str, int]]]) -> None:
    measured([QUICK], ["ours", "dbos"], count=1, scale=0.1)
    assert [sizes for _, _, sizes in asked] == [{"executions": 100, "steps": 10}, {"executions": 10}]


def test_what_fails_is_told_as_a_reason() -> None:
    failing = System("ours", (sys.executable, "-c", "raise SystemExit(3)"))
    reading = failing.ask("W1", {"executions": 7}, "")
    assert "exit status 3" in reading.cannot
    assert (reading.completed, reading.expected) == (0, 7)


def test_an_answer_comes_back_as_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    reading = Reading(figures={"rate": 3.5}, completed=2, expected=2, facts={"plan": "Index Scan"})
    answer({"W1": lambda sizes: reading, "W2": cannot("No steps.")}, ["W1", json.dumps({"executions": 1})])
    assert read(f"noise\n{capsys.readouterr().out}") == reading
    answer({}, ["W9"])
    assert read(capsys.readouterr().out).cannot == "Not measured."
    assert read(json.dumps(asdict(reading))) == reading


def test_figures_of_executions_that_failed_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    quick = Reading(figures={"rate": 99_999.0}, completed=1, expected=200)
    answer({"W1": lambda sizes: quick}, ["W1"])
    reading = read(capsys.readouterr().out)
    assert reading.figures == {}
    assert reading.cannot == "Only 1 of 200 executions completed."
    assert (reading.completed, reading.expected) == (1, 200)


def test_an_error_is_told_as_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """ "0 of 200 completed" does not say why."""

    def fail(sizes: Mapping[str, int]) -> Reading:
        raise TimeoutError("After 180 s still waiting for the workers.")

    answer({"W1": fail}, ["W1", json.dumps({"executions": 200})])
    answered = capsys.readouterr()
    reading = read(answered.out)
    assert (reading.completed, reading.expected) == (0, 200)
    assert "TimeoutError: After 180 s still waiting for the workers." in reading.cannot
    assert "Traceback" in answered.err


def test_a_percentile_is_one_of_the_values() -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1.0, 3.0, 5.0, 5.0]


def test_waiting_ends_with_an_error_that_names_what_was_waited_for() -> None:
    with pytest.raises(TimeoutError, match="the workers"):
        wait_until(lambda: False, within=0.0, every=0.0, what="the workers")


def test_every_measure_of_ours_can_be_asked_for() -> None:
    """By its name without the database's: what is on SQLite is the same measurement."""
    assert {measure.id.removeprefix("sqlite-") for measure in MEASURES if measure.sizes} <= set(OURS)
