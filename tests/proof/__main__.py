"""python -m tests.proof [--database sqlite|postgres] [--part WORD] [--share 1/5] [--list]: everything, not a sample.

What is left over on the command line goes to pytest: `make proof ARGS="--part races -x"`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.proof.surroundings import HOSTILE

ROOT = Path(__file__).resolve().parents[2]
DATABASES = ("sqlite", "postgres")
SESSIONS = 2 * (os.cpu_count() or 1)  # half of the time is waiting
PYTEST = (
    "-q",
    "-p",
    "tests.proof.plugin",
    "-n",
    str(SESSIONS),
    "--dist",
    "worksteal",
    "-o",
    "faulthandler_timeout=900",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A proof: its name, what it shows, and what pytest is told."""

    name: str
    shows: str
    arguments: tuple[str, ...]
    hostile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    database: str
    part: Part
    status: int
    words: str
    seconds: float


PARTS = (
    Part(
        name="crashes",
        shows="death before and after every statement and commit, twice at once, and while recovering",
        arguments=("tests/proof/test_crashes.py",),
    ),
    Part(
        name="faults",
        shows="40001, 40P01, 55P03, 40003 and lost connections at 5, 20 and 50 % of statements and commits",
        arguments=("tests/proof/test_faults.py", "tests/proof/test_client_faults.py"),
    ),
    Part(
        name="fencing",
        shows="late writes and late turns of holders that lost their claim; SIGSTOP and SIGCONT of real workers",
        arguments=("tests/proof/test_fencing.py", "tests/acceptance/test_leases.py"),
    ),
    Part(
        name="races",
        shows="two sessions in every order of their statements; thousands of messages at their deadline",
        arguments=("tests/proof/test_races.py", "tests/proof/test_crowds.py"),
    ),
    Part(
        name="model",
        shows="random programs of workflows and operators' verbs, against a model of what must come out",
        arguments=("tests/proof/test_model.py",),
    ),
    *(
        Part(
            name=f"hostile-{name}",
            shows=f"the behavioural suite with {words}",
            arguments=("tests/behaviour",),
            hostile=name,
        )
        for name, words in HOSTILE.items()
    ),
    Part(
        name="processes",
        shows="poison and quarantine, killed workers, lost machines, outages, stopping",
        arguments=tuple(
            f"tests/acceptance/test_{name}.py" for name in ("poison", "recovery", "crashes", "outages", "stopping")
        ),
    ),
    Part(
        name="checkers",
        shows="that these proofs can fail: each breaks what it watches over",
        arguments=("tests/proof/test_checkers.py",),
    ),
)


def main(arguments: Sequence[str]) -> int:
    parser = ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--part", action="append", default=[], help="only parts whose name contains it; repeatable")
    parser.add_argument("--share", default="1/1", help="2/5: every fifth test, beginning with the second")
    parser.add_argument("--list", action="store_true", help="say what there is, and do nothing")
    options, more = parser.parse_known_args(arguments)
    parts = [part for part in PARTS if not options.part or any(word in part.name for word in options.part)]
    if options.list:
        say(*(f"{part.name:20} {part.shows}" for part in parts))
        return 0
    os.environ["PROOF_SHARE"] = options.share
    outcomes = [prove(database, part, more) for database in options.database or DATABASES for part in parts]
    say("", *summary(outcomes))
    return int(any(outcome.status for outcome in outcomes))


def prove(database: str, part: Part, more: Sequence[str]) -> Outcome:
    say("", f"=== {database}, {part.name}: {part.shows}")
    began = time.monotonic()
    prefix = [] if database == "sqlite" else ["-W", "ignore:XDG_RUNTIME_DIR", "-m", "tests.postgres", sys.executable]
    command = [sys.executable, *prefix, "-m", "pytest", *PYTEST, *part.arguments, *more]
    environment = {**os.environ, "PROOF": "1", "HOSTILE": part.hostile}
    environment.pop("DATABASE_URL", None)
    words = "said nothing"
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip("\n"))
            if re.search(r"\d+ (passed|failed|error)", line):
                words = line.strip(" =\n")
    seconds = time.monotonic() - began
    return Outcome(database=database, part=part, status=process.returncode, words=words, seconds=seconds)


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        verdict = "FAILED" if outcome.status else "holds"
        yield f"{outcome.database:9} {outcome.part.name:20} {verdict:7} {outcome.seconds:7.0f} s  {outcome.words}"
    failed = sum(bool(outcome.status) for outcome in outcomes)
    yield f"{failed} of {len(outcomes)} parts failed." if failed else "Everything that was promised holds."


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
