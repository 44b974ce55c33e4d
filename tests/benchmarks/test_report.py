"""Figures are compared with what they must be, and with others, the right way round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.catalogue import MEASURES, Figure, Measure, chosen
from benchmarks.page import BEGIN, END, PAGE, with_figures
from benchmarks.protocol import Reading
from benchmarks.report import Report, ratio, verdict
from benchmarks.rounds import Result

RATE = Figure(name="rate", title="rate", unit="steps/s", must=100, aim=200, least_times={"dbos": 10, "every peer": 5})
DELAY = Figure(name="p50", title="p50", unit="ms", must=5, aim=4, lower_is_better=True)


def result(system: str, *values: float, cannot: str = "", missing: dict[str, str] | None = None) -> Result:
    readings = [Reading(figures={"rate": value}, completed=9, expected=10) for value in values]
    measure = Measure(id="W", title="steps", figures=(RATE,), sizes={})
    nothing = [Reading(cannot=cannot, missing=missing or {})] if cannot or missing else []
    return Result(measure=measure, system=system, readings=(*readings, *nothing))


def test_a_figure_is_the_median_of_its_rounds() -> None:
    assert result("ours", 100, 900, 200).value("rate") == 200


@pytest.mark.parametrize(
    ("figure", "ours", "other", "times"), [(RATE, 200, 50, 4), (DELAY, 2, 10, 5), (RATE, 50, 100, 0.5)]
)
def test_a_ratio_says_how_many_times_better_ours_is(figure: Figure, ours: float, other: float, times: float) -> None:
    assert ratio(figure, ours, other) == times


def test_nothing_is_better_than_nothing_by_no_number() -> None:
    assert ratio(RATE, 10, 0) is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ours": 250, "dbos": 20, "absurd": 40}, "aim"),
        ({"ours": 150}, "ok"),
        ({"ours": 99}, "**misses ≥ 100**"),
        ({"ours": 150, "dbos": 20}, "**misses 10× dbos**"),
        ({"ours": 150, "dbos": 10, "absurd": 50}, "**misses 5× absurd**"),
        ({"ours": 150, "dbos": 20, "absurd": 50}, "**misses 10× dbos, 5× absurd**"),
        ({"dbos": 20}, ""),
    ],
)
def test_the_verdict_names_what_is_missed(values: dict[str, float | None], words: str) -> None:
    assert verdict(RATE, values) == words


@pytest.mark.parametrize(("value", "words"), [(3, "aim"), (4.5, "ok"), (6, "**misses ≤ 5**")])
def test_of_delays_the_smaller_is_the_better(value: float, words: str) -> None:
    assert verdict(DELAY, {"ours": value}) == words


def test_the_table_has_a_column_for_each_system_and_says_why_a_place_is_empty(tmp_path: Path) -> None:
    report = Report(
        [result("ours", 400), result("dbos", 20), result("absurd", cannot="It has no steps."), result("other", 1)],
        {"processor": "two"},
    )
    assert "| 400 | 20 (20.0×) | – | 1 (400.0×) | aim |" in report.table()
    assert "- W, absurd: – because: It has no steps." in report.notes()
    assert "- completed by ours: 9 of 10 executions (90.00%)" in report.notes()
    saved = json.loads(report.save(tmp_path / "results").read_text())
    assert saved["results"][0]["rounds"][0]["figures"] == {"rate": 400}


def test_a_single_figure_that_is_missing_has_its_reason_too() -> None:
    report = Report([result("dbos", 20, missing={"many": "It starts them one by one."})], {})
    assert "- W, many, dbos: – because: It starts them one by one." in report.notes()


def test_figures_take_the_place_of_the_old_ones() -> None:
    page = with_figures(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new")
    assert page == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="needs the lines"):
        with_figures("no marks", "new")
    with_figures(PAGE.read_text(), "new")


def test_measures_are_chosen_by_id_or_by_group() -> None:
    assert [measure.id for measure in chosen("W2")] == ["W2", "W2-async"]
    assert [measure.id for measure in chosen("w2-ASYNC, claims")] == ["W2-async", "claims"]
    assert chosen("") == list(MEASURES)
    with pytest.raises(ValueError, match="nonsense"):
        chosen("W1,nonsense")


def test_every_measure_has_a_name_of_its_own_and_figures() -> None:
    assert len({measure.id for measure in MEASURES}) == len(MEASURES)
    assert all(measure.figures and (measure.sizes or measure.bare) for measure in MEASURES)
