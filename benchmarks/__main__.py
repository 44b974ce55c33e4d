"""Measure: `make bench`, or `python -m benchmarks [--only W1,W2] [--systems ours,dbos] [--rounds 3] [--scale 0.1]`.

With `--page` the figures also go into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import machine, page
from benchmarks.catalogue import chosen
from benchmarks.databases import Databases
from benchmarks.protocol import note
from benchmarks.report import Report
from benchmarks.rounds import measured
from benchmarks.systems import NAMES, System, system
from tests.postgres import server


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="IDS", help="these measures, such as W1,W2,claims (all)")
    parser.add_argument("--systems", default=",".join(NAMES), metavar="NAMES", help=f"of {', '.join(NAMES)} (all)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the amounts, to try something quickly (1)")
    parser.add_argument("--page", action="store_true", help="put the figures into docs/benchmarks.md")
    return parser.parse_args()


def available(names: Sequence[str]) -> Iterator[System]:
    """Those that are here or can be installed; the others are left out, and it is said why."""
    for name in names:
        try:
            yield system(name)
        except subprocess.CalledProcessError as error:
            note(f"{name} is left out, because it could not be installed: {error}")


def main() -> int:
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):  # what has been started ends with us
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        measures = chosen(options.only)
    except ValueError as error:
        sys.exit(str(error))
    names = [name.strip() for name in options.systems.split(",")]
    if unknown := set(names) - set(NAMES):
        sys.exit(f"Unknown system(s): {', '.join(sorted(unknown))}. There are: {', '.join(NAMES)}.")
    systems = list(available(names))
    began = time.monotonic()
    with server(options={}) as postgres, tempfile.TemporaryDirectory(prefix="django-workflows-bench-") as folder:
        databases = Databases(postgres.get_uri(), Path(folder))
        facts = machine.facts(
            databases.version, f"median of {options.rounds} round(s), {options.scale:.0%} of the amounts"
        )
        results = measured(measures, systems, databases, rounds=options.rounds, scale=options.scale)
    if not results:
        sys.exit("Nothing to measure: none of these systems takes part in these measures.")
    report = Report(results, facts)
    sys.stdout.write(f"{report.table()}\n\n{report.notes()}\n")
    sys.stdout.flush()
    if options.page:
        page.write(report.text())
    note(f"\n{report.save()}  ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
