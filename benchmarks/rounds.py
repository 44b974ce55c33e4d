"""Carries out the measures: round after round, and in each round one system after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.catalogue import Measure
from benchmarks.databases import Databases, Unprepared
from benchmarks.protocol import Reading, note
from benchmarks.systems import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one system came to in one measure, in all rounds."""

    measure: Measure
    system: str
    readings: tuple[Reading, ...]

    @property
    def cannot(self) -> str:
        """The reason, when a round gave no figures."""
        return next((reading.cannot for reading in self.readings if reading.cannot), "")

    def value(self, figure: str) -> float | None:
        """The median of the rounds."""
        values = [reading.figures[figure] for reading in self.readings if figure in reading.figures]
        return median(values) if values else None

    @property
    def completed(self) -> tuple[int, int]:
        """How many executions completed, of how many."""
        return sum(reading.completed for reading in self.readings), sum(reading.expected for reading in self.readings)


def measured(
    measures: Sequence[Measure], systems: Sequence[System], databases: Databases, *, rounds: int, scale: float
) -> list[Result]:
    """Every system in every measure; what changes on the machine in the meantime meets all of them alike."""
    readings: dict[tuple[str, str], list[Reading]] = {}
    for number, measure, system in _order(measures, systems, rounds):
        known = readings.get((measure.id, system.name), [])
        if known and not any(reading.figures for reading in known):
            continue  # it will not be able to the next time
        reading = _measure(measure, system, databases, scale)
        note(f"{number + 1}/{rounds}  {measure.id:<14} {system.name:<14} {_told(reading)}")
        readings.setdefault((measure.id, system.name), []).append(reading)
    by_id = {measure.id: measure for measure in measures}
    return [Result(measure=by_id[id], system=system, readings=tuple(found)) for (id, system), found in readings.items()]


def _order(
    measures: Sequence[Measure], systems: Sequence[System], rounds: int
) -> Iterator[tuple[int, Measure, System]]:
    for number in range(rounds):
        for measure in measures:
            for system in systems:
                is_once = measure.is_slow or (measure.peers_once and system.is_peer)
                if system.sizes(measure) is not None and not (is_once and number):
                    yield number, measure, system


def _measure(measure: Measure, system: System, databases: Databases, scale: float) -> Reading:
    sizes = {name: _scaled(name, size, scale) for name, size in (system.sizes(measure) or {}).items()}
    try:
        with databases.fresh(system, sqlite=measure.on_sqlite) as url:
            return system.ask(measure.id.removeprefix("sqlite-"), sizes, url, measure.settings)
    except Unprepared as error:
        return Reading(cannot=str(error), expected=sizes.get("executions", 1))


def _scaled(name: str, size: int, scale: float) -> int:
    """Steps per workflow and the like are what is measured; only the amounts of executions and rows change."""
    return max(int(size * scale), 10) if name in {"executions", "rows", "due", "samples"} else size


def _told(reading: Reading) -> str:
    if reading.cannot:
        return f"–  {reading.cannot}"
    return "  ".join(
        f"{name} {value:,.4g}" if value < 1000 else f"{name} {value:,.0f}" for name, value in reading.figures.items()
    )
