"""What is measured, how much of it, and what it must come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a measure. `least_times` is how many times the best peer's it must be (or, of dbos alone)."""

    name: str
    title: str
    unit: str
    must: float | None = None
    aim: float | None = None
    lower_is_better: bool = False
    least_times: Mapping[str, float] = field(default_factory=dict)  # by peer, or by "every peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing to measure. `peers` are the sizes for the others, who take longer; None when nobody else is asked."""

    id: str
    title: str
    figures: tuple[Figure, ...]
    sizes: Mapping[str, int]
    peers: Mapping[str, int] | None = None
    is_slow: bool = False  # measured in the first round only
    on_sqlite: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)  # of ours, where the measure is about them

    @property
    def group(self) -> str:
        """What `--only` may name as well as the id."""
        return self.id.partition("-")[0]


def rate(unit: str, **values: float | Mapping[str, float]) -> Figure:
    return Figure(name="rate", title="rate", unit=unit, **values)  # type: ignore[arg-type]  # passed through


def cpu(of: str) -> Figure:
    return Figure(name="cpu", title="worker's CPU", unit=f"s per 1,000 {of}", lower_is_better=True)


def commits(of: str, must: float) -> Figure:
    return Figure(name="commits", title="commits", unit=f"per {of}", must=must, aim=0.1, lower_is_better=True)


def delay(name: str, title: str, must: float | None = None, aim: float | None = None) -> Figure:
    return Figure(name=name, title=title, unit="ms", must=must, aim=aim, lower_is_better=True)


def seconds(name: str, title: str, must: float | None = None, aim: float | None = None) -> Figure:
    return Figure(name=name, title=title, unit="s", must=must, aim=aim, lower_is_better=True)


TEN_DBOS = {"dbos": 10.0, "every peer": 5.0}

MEASURES: tuple[Measure, ...] = (
    Measure(
        id="W1",
        title="one-step workflows, `def`",
        figures=(
            rate("workflows/s", must=3000, aim=6000, least_times=TEN_DBOS),
            cpu("workflows"),
            commits("workflow", 0.5),
        ),
        sizes={"executions": 10_000},
        peers={"executions": 800},
    ),
    Measure(
        id="W1-async",
        title="one-step workflows, `async def`",
        figures=(rate("workflows/s"), cpu("workflows"), commits("workflow", 0.5)),
        sizes={"executions": 10_000},
        peers={"executions": 800},
    ),
    Measure(
        id="W2",
        title="ten sequential steps, `def`",
        figures=(
            rate("steps/s", must=8000, least_times={"every peer": 3.0}),
            cpu("steps"),
            commits("step", 0.3),
        ),
        sizes={"executions": 2_000, "steps": 10},
        peers={"executions": 120, "steps": 10},
    ),
    Measure(
        id="W2-async",
        title="ten sequential steps, `async def`",
        figures=(
            rate("steps/s", must=8000, aim=20_000, least_times={"every peer": 3.0}),
            cpu("steps"),
            commits("step", 0.3),
        ),
        sizes={"executions": 3_000, "steps": 10},
        peers={"executions": 120, "steps": 10},
    ),
    Measure(
        id="sqlite-W1",
        title="one-step workflows on SQLite",
        figures=(rate("workflows/s", must=1500, aim=3000), cpu("workflows")),
        sizes={"executions": 5_000},
        on_sqlite=True,
    ),
    Measure(
        id="sqlite-W2",
        title="ten sequential steps on SQLite",
        figures=(rate("steps/s", must=4000, aim=8000), cpu("steps")),
        sizes={"executions": 1_000, "steps": 10},
        on_sqlite=True,
    ),
    Measure(
        id="two-workers",
        title="W2 with two worker processes, as a multiple of one",
        figures=(Figure(name="ratio", title="ratio", unit="×", must=1.0, aim=1.3), rate("steps/s")),
        sizes={"executions": 2_000, "steps": 10},
    ),
    Measure(
        id="contention",
        title="W2 with 4 workers × 8 threads, as a multiple of 1 × 32",
        figures=(Figure(name="ratio", title="ratio", unit="×", must=0.9), rate("steps/s")),
        sizes={"executions": 2_000, "steps": 10},
    ),
)


def chosen(only: str) -> list[Measure]:
    """The measures with these ids or of these groups, all if none is named. Raises ValueError for an unknown name."""
    names = {name.strip().lower() for name in only.split(",") if name.strip()}
    known = {name.lower() for measure in MEASURES for name in (measure.id, measure.group)}
    if unknown := names - known:
        raise ValueError(f"Unknown measure(s): {', '.join(sorted(unknown))}. There are: {', '.join(sorted(known))}.")
    return [measure for measure in MEASURES if not names or names & {measure.id.lower(), measure.group.lower()}]
