"""Which part of a proof runs: `make proof` runs every seed, `make test` a few that each run chooses anew.

A seed stands in the id of its test, and means the same in both: to see it again, run that id under `PROOF=1`.
"""

from __future__ import annotations

import os
import zlib
from random import Random

import pytest

RUNS_ALL = bool(os.environ.get("PROOF"))


def seeded(full: int, *, sample: int) -> pytest.MarkDecorator:
    """The test takes a `seed` below `full`; a sample has so many of them."""
    return pytest.mark.seeded(full, sample)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give a seeded test its seeds."""
    if (mark := metafunc.definition.get_closest_marker("seeded")) is None:
        return
    full, sample = mark.args
    seeds = range(full) if RUNS_ALL else _choice(metafunc, full, sample)
    metafunc.parametrize("seed", seeds, ids=lambda seed: f"seed{seed}")


def _choice(metafunc: pytest.Metafunc, full: int, sample: int) -> list[int]:
    """Another one in each run, but the same one in all processes of it."""
    run = os.environ.get("PROOF_SEED") or getattr(metafunc.config, "workerinput", {}).get("testrunuid", _THIS_PROCESS)
    return sorted(Random(zlib.crc32(f"{run} {metafunc.definition.nodeid}".encode())).sample(range(full), sample))


_THIS_PROCESS = str(Random().random())
