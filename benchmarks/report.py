"""One table, for people, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.catalogue import Figure, Measure
from benchmarks.rounds import Result
from benchmarks.systems import OURS, PEERS

RESULTS = Path(__file__).parent / "results"


class Report:
    """The results of one call of the benchmarks."""

    def __init__(self, results: Sequence[Result], machine: Mapping[str, str]) -> None:
        self._results, self._machine = results, machine
        self._by_place = {(result.measure.id, result.system): result for result in results}
        self._systems = list(dict.fromkeys(result.system for result in results))

    def table(self) -> str:
        """Markdown: a row for each figure, a column for each system."""
        head = ["measure", "figure", "must", "aim", *self._systems, "verdict"]
        rows = [head, ["---", "---", *["---:"] * (len(head) - 3), "---"], *self._rows()]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def notes(self) -> str:
        """Why a place is empty, and what was not completed."""
        lines = [
            f"- {result.measure.id}, {result.system}: – because: {result.cannot}"
            for result in self._results
            if result.cannot
        ]
        lines += [
            f"- {result.measure.id}, {figure}, {result.system}: – because: {reason}"
            for result in self._results
            for figure, reason in result.readings[-1].missing.items()
        ]
        shares = {system: self._share(system) for system in self._systems}
        return "\n".join([*lines, *(f"- completed by {system}: {share}" for system, share in shares.items() if share)])

    def _share(self, system: str) -> str:
        counts = [result.completed for result in self._results if result.system == system]
        completed, expected = (sum(values) for values in zip(*counts, strict=True))
        return f"{completed:,} of {expected:,} executions ({completed / expected:.2%})" if expected else ""

    def text(self) -> str:
        """All that people want to know of it."""
        machine = "\n".join(f"- {name}: {fact}" for name, fact in self._machine.items())
        return f"{self.table()}\n\n{self.notes()}\n\nMeasured on:\n\n{machine}\n\n{self.facts()}".strip()

    def facts(self) -> str:
        """What belongs to figures: the plans of statements, and the like."""
        return "\n\n".join(
            f"{result.measure.id}, {name}:\n\n```\n{fact}\n```"
            for result in self._results
            for name, fact in result.readings[-1].facts.items()
        )

    def save(self, folder: Path = RESULTS) -> Path:
        """Write everything, each round's figures included; where it is."""
        folder.mkdir(exist_ok=True)
        moment = datetime.now(UTC)
        path = folder / f"{moment:%Y-%m-%dT%H-%M-%S}.json"
        content = {
            "at": moment.isoformat(timespec="seconds"),
            "machine": dict(self._machine),
            "results": [
                {
                    "measure": result.measure.id,
                    "system": result.system,
                    "median": {figure.name: result.value(figure.name) for figure in result.measure.figures},
                    "rounds": [asdict(reading) for reading in result.readings],
                }
                for result in self._results
            ],
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False))
        return path

    def _rows(self) -> Iterator[list[str]]:
        for measure in dict.fromkeys(result.measure.id for result in self._results):
            for number, figure in enumerate(self._measure(measure).figures):
                values = {system: self._value(measure, system, figure) for system in self._systems}
                yield [
                    "" if number else f"**{measure}** {self._measure(measure).title}",
                    f"{figure.title}, {figure.unit}",
                    bound(figure, figure.must),
                    bound(figure, figure.aim),
                    *(self._cell(values, system, figure) for system in self._systems),
                    verdict(figure, values),
                ]

    def _measure(self, id: str) -> Measure:
        return next(result.measure for result in self._results if result.measure.id == id)

    def _value(self, measure: str, system: str, figure: Figure) -> float | None:
        result = self._by_place.get((measure, system))
        return result.value(figure.name) if result else None

    def _cell(self, values: Mapping[str, float | None], system: str, figure: Figure) -> str:
        value, ours = values[system], values.get(OURS)
        if value is None:
            return "–"
        times = ratio(figure, ours, value) if system != OURS and ours is not None else None
        return shown(value) if times is None else f"{shown(value)} ({times:.1f}×)"


def ratio(figure: Figure, ours: float, other: float) -> float | None:
    """How many times better ours is."""
    better, worse = (other, ours) if figure.lower_is_better else (ours, other)
    return better / worse if worse > 0 else None


def verdict(figure: Figure, values: Mapping[str, float | None]) -> str:
    """Whether ours is what it must be, and what it aims at."""
    ours = values.get(OURS)
    if ours is None or (figure.must is None and not figure.least_times):
        return ""
    missed = [text for text, is_met in _demands(figure, ours, values) if not is_met]
    if missed:
        return f"**misses {', '.join(missed)}**"
    return "aim" if figure.aim is not None and reaches(figure, ours, figure.aim) else "ok"


def _demands(figure: Figure, ours: float, values: Mapping[str, float | None]) -> Iterable[tuple[str, bool]]:
    if figure.must is not None:
        yield bound(figure, figure.must), reaches(figure, ours, figure.must)
    for who, times in figure.least_times.items():
        for peer in PEERS if who == "every peer" else (who,):
            value = values.get(peer)
            if value is not None:
                yield f"{times:g}× {peer}", (ratio(figure, ours, value) or 0) >= times


def reaches(figure: Figure, value: float, target: float) -> bool:
    return value <= target if figure.lower_is_better else value >= target


def bound(figure: Figure, target: float | None) -> str:
    return "" if target is None else f"{'≤' if figure.lower_is_better else '≥'} {shown(target)}"


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
