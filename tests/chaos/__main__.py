"""python -m tests.chaos [--minutes 10] [--seed N] [--folder DIR]: exit status 1 when a promise was broken.

With `DATABASE_URL` it uses that server, which may be CockroachDB's and stand elsewhere, and does not stop it.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests import postgres

ROOT = Path(__file__).resolve().parents[2]

# The server's own defaults but for these: what is committed is on the disk.
OPTIONS = {"max_connections": "200"}


def parse(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="another seed, other faults")
    parser.add_argument("--folder", type=Path, help="keeps the logs of the workers and the provider's ledger")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="django-workflows-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.chaos.settings"
    # a proxy for the way out does not know the provider on this machine
    os.environ["no_proxy"] = f"{os.environ.get('no_proxy', '')},127.0.0.1".strip(",")
    if os.environ.get("DATABASE_URL"):
        result = _play(None, folder, options)
    else:
        with postgres.server(OPTIONS) as postmaster:
            os.environ["DATABASE_URL"] = postmaster.get_uri()
            result = _play(postmaster, folder, options)
    say(f"Logs: {folder}")
    return 0 if result.is_good else 1


def _play(postmaster: Any, folder: Path, options: Namespace) -> Any:
    """What needs Django is imported when the server is there."""
    import_module("django").setup()
    stage, play, report = (import_module(f"tests.chaos.{name}") for name in ("stage", "play", "report"))
    stage.migrate()
    result = play.play(stage.Server(postmaster), folder, minutes=options.minutes, seed=options.seed, say=say)
    say("\n" + "\n".join(report.lines(result)))
    return result


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
