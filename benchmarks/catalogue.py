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
    """One thing to measure. `peers` are the sizes for the others, who take longer, `bare` those for the bare
    database; None when they are not asked.
    """

    id: str
    title: str
    figures: tuple[Figure, ...]
    sizes: Mapping[str, int]
    peers: Mapping[str, int] | None = None
    bare: Mapping[str, int] | None = None
    is_slow: bool = False  # measured in the first round only
    peers_once: bool = False  # the others in the first round only
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


def beside_rows() -> tuple[Figure, ...]:
    """Of statements, as multiples of their times in a table of 1,000 rows."""
    return (
        Figure(name="claim", title="claim of 32", unit="× empty table", must=1.3, lower_is_better=True),
        delay("time", "claim of 32"),
        Figure(name="peek", title="look for work", unit="× empty table", must=1.3, lower_is_better=True),
        Figure(name="queues", title="look for queues", unit="× empty table", must=1.3, lower_is_better=True),
    )


def idleness() -> tuple[Figure, ...]:
    return (
        Figure(name="queries", title="queries", unit="per second", must=5, aim=1, lower_is_better=True),
        Figure(name="scanned", title="rows read without an index", unit="per second", lower_is_better=True),
    )


TEN_DBOS = {"dbos": 10.0, "every peer": 5.0}


def behind_servers() -> tuple[Figure, ...]:
    """Of calls over HTTP, for each web server."""
    return tuple(
        figure
        for server in ("gunicorn", "uvicorn")
        for figure in (
            Figure(name=f"{server}_rate", title=f"{server}, rate", unit="calls/s"),
            delay(f"{server}_p50", f"{server}, p50"),
            delay(f"{server}_p99", f"{server}, p99"),
        )
    )


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
        bare={"rows": 3_000},
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
        bare={"rows": 3_000},
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
        id="W3",
        title="start in another process → completed, idle worker",
        figures=(delay("p50", "p50", 5, 4), delay("p99", "p99", 15, 10)),
        sizes={"samples": 200},
        peers={"samples": 60},
        bare={"samples": 200},
        peers_once=True,
    ),
    Measure(
        id="W4",
        title="signal → resumed, idle worker",
        figures=(delay("p50", "p50", 5, 4), delay("p99", "p99", 15, 10)),
        sizes={"samples": 100},
        peers={"samples": 30},
        peers_once=True,
    ),
    Measure(
        id="W4-sleep",
        title="lateness of a sleep of 1 s",
        figures=(delay("p50", "p50", 10, 5), delay("p99", "p99")),
        sizes={"samples": 50},
        peers={"samples": 30},
        peers_once=True,
    ),
    Measure(
        id="W5",
        title="200 children gathered",
        figures=(rate("children/s", must=2500, aim=5000),),
        sizes={"executions": 10, "children": 200},
        peers={"executions": 2, "children": 200},
        peers_once=True,
    ),
    Measure(
        id="W6",
        title="sleepers parked, then all due at once",
        figures=(
            rate("parked/s", must=3000, aim=5000),
            Figure(name="memory", title="worker's memory, all parked", unit="MB", must=100, lower_is_better=True),
            Figure(name="growth", title="worker's memory, growth", unit="MB", lower_is_better=True),
            seconds("first", "first resumed", must=1),
            seconds("last", "all resumed", must=10),
        ),
        sizes={"executions": 10_000},
        peers={"executions": 500},
        peers_once=True,
    ),
    Measure(
        id="recovery",
        title="500 ten-step executions unfinished at SIGKILL",
        figures=(seconds("first", "first one moves", must=1), seconds("last", "all done", must=5, aim=2)),
        sizes={"executions": 500, "steps": 10},
        peers={"executions": 500, "steps": 10},
        peers_once=True,
    ),
    Measure(
        id="W7",
        title="starting",
        figures=(
            rate("calls/s", must=1000, aim=1500),
            Figure(name="many", title="in bulk", unit="executions/s", must=20_000, aim=50_000),
        ),
        sizes={"samples": 2_000, "executions": 20_000},
        peers={"samples": 500, "executions": 2_000},
        peers_once=True,
    ),
    Measure(
        id="W8",
        title="idle worker",
        figures=idleness(),
        sizes={"seconds": 8},
        peers={"seconds": 8},
        is_slow=True,
    ),
    Measure(
        id="active-100",
        title="100 `async def` executions at once, overhead per step",
        figures=(delay("p50", "p50"), delay("p99", "p99", must=10)),
        sizes={"executions": 100, "steps": 20, "least_ms": 50, "most_ms": 250},
    ),
    Measure(
        id="active-10000",
        title="10,000 `async def` executions at once, overhead per step",
        figures=(delay("p50", "p50"), delay("p99", "p99", must=100, aim=10)),
        sizes={"executions": 10_000, "steps": 4, "least_ms": 3_000, "most_ms": 9_000},
        is_slow=True,
    ),
    Measure(
        id="claims",
        title="beside 1,000,000 finished, 1,000,000 sleeping and 100,000 due rows",
        figures=(*beside_rows(), *idleness()),
        sizes={"rows": 1_000_000, "due": 100_000},
        is_slow=True,
    ),
    Measure(
        id="sqlite-claims",
        title="the same rows on SQLite",
        figures=beside_rows(),
        sizes={"rows": 1_000_000, "due": 100_000},
        is_slow=True,
        on_sqlite=True,
    ),
    Measure(
        id="events",
        title="one event beside 10,000 open waits and 1,000 triggers",
        figures=(
            delay("publish", "publish, p99"),
            Figure(name="publish_times", title="publish", unit="× alone", must=1.3, lower_is_better=True),
            delay("dispatch", "dispatch without a match, p99", must=10),
            Figure(
                name="dispatch_times", title="dispatch without a match", unit="× alone", must=2, lower_is_better=True
            ),
            delay("wanted", "dispatch to one wait or trigger, p99", must=20),
        ),
        sizes={"samples": 300, "waits": 10_000, "triggers": 1_000},
    ),
    Measure(
        id="http-events",
        title="`POST /events` without matches, 8 clients",
        figures=behind_servers(),
        sizes={"samples": 2_000, "clients": 8},
    ),
    Measure(
        id="http-start",
        title="`POST /workflows/{name}/start`, 8 clients",
        figures=behind_servers(),
        sizes={"samples": 2_000, "clients": 8},
    ),
    Measure(
        id="growth",
        title="what a ten-step execution leaves behind",
        figures=(
            Figure(name="execution", title="its row", unit="bytes", lower_is_better=True),
            Figure(name="indexes", title="indexes of its row", unit="bytes", lower_is_better=True),
            Figure(name="step", title="a step's row", unit="bytes", lower_is_better=True),
            Figure(name="step_indexes", title="indexes of a step's row", unit="bytes", lower_is_better=True),
            Figure(name="updates", title="updates of its row", unit="each", lower_is_better=True),
            Figure(name="hot", title="of these without new index entries", unit="%"),
        ),
        sizes={"executions": 2_000, "steps": 10},
        is_slow=True,
    ),
    Measure(
        id="database",
        title="the bare database, one connection",
        figures=(
            rate("one-row commits/s"),
            Figure(name="many", title="rows with 50 in a commit", unit="rows/s"),
        ),
        sizes={},
        bare={"rows": 6_000, "batch": 50},
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
