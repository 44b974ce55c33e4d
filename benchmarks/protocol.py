"""What a runner is told and what it answers. Standard library only: peers import it in environments of their own.

A runner is called as `COMMAND MEASURE SIZES`, where SIZES is a JSON object of integers, with `DATABASE_URL` naming a
database that it has prepared before (`COMMAND prepare {}`). The last line of its output is a JSON object: the figures
that it measured, or why it cannot.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

Sizes = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one measurement came to; `completed` of `expected` executions ended as they should."""

    figures: dict[str, float] = field(default_factory=dict)
    completed: int = 0
    expected: int = 0
    cannot: str = ""  # why this system cannot be measured so
    missing: dict[str, str] = field(default_factory=dict)  # why it has no such figure, by its name
    facts: dict[str, str] = field(default_factory=dict)  # what a reader wants to see beside the figures: plans, options


Measurement = Callable[[Sizes], Reading]


def cannot(reason: str) -> Measurement:
    """Stands in the place of a measurement that a system has nothing for."""
    return lambda sizes: Reading(cannot=reason)


def answer(measurements: Mapping[str, Measurement], arguments: Sequence[str]) -> None:
    """Carry out `MEASURE SIZES` and print the reading; an error is one too, for whoever reads the figures later."""
    name, sizes = arguments[0], json.loads(arguments[1]) if len(arguments) > 1 else {}
    measure = measurements.get(name) or cannot("Not measured.")
    try:
        reading = checked(measure(sizes))
    except Exception as error:
        note(traceback.format_exc())
        told = f"It failed: {type(error).__name__}: {error}"
        reading = Reading(cannot=told[:500], expected=sizes.get("executions", 1))
    sys.stdout.write(f"\n{json.dumps(asdict(reading))}\n")
    sys.stdout.flush()


def checked(reading: Reading) -> Reading:
    """A figure of executions that did not complete is none: what fails is often quick."""
    if reading.completed >= reading.expected:
        return reading
    return replace(reading, figures={}, cannot=f"Only {reading.completed} of {reading.expected} executions completed.")


def read(output: str) -> Reading:
    """The reading in a runner's output."""
    return Reading(**json.loads(output.strip().splitlines()[-1]))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(round(percent / 100 * (len(ordered) - 1)), len(ordered) - 1)]


def wait_until(condition: Callable[[], bool], *, within: float, every: float = 0.05, what: str = "it") -> None:
    """Look again and again. Raises TimeoutError."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {within:g} s still waiting for {what}.")
        time.sleep(every)


def note(text: str) -> None:
    """Say something to whoever watches; only the last line of the standard output counts."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
