"""python -m testproject.provider --port 8090 --ledger ledger.sqlite3 [--fail 0.1] [--hang 0.05] [--drop 0.1]"""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

from testproject.provider.faults import Faults
from testproject.provider.server import Provider


def share(text: str) -> float:
    """A share from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def parse(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m testproject.provider", description=Provider.__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--ledger", type=Path, required=True, metavar="FILE", help="SQLite file with calls and charges")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other faults")
    parser.add_argument("--fail", type=share, default=0.1, help="share of calls answered with 500")
    parser.add_argument("--hang", type=share, default=0.05, help="share of calls answered much too late")
    parser.add_argument("--drop", type=share, default=0.1, help="share of calls carried out but not answered")
    parser.add_argument("--hang-seconds", type=float, default=10.0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    options = parse(arguments)
    faults = Faults(
        seed=options.seed,
        fail=options.fail,
        hang=options.hang,
        drop=options.drop,
        hang_seconds=options.hang_seconds,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Provider(options.ledger, port=options.port, faults=faults) as provider:
        print(f"The provider listens on {provider.url}, its ledger is {options.ledger}.", flush=True)
        try:
            provider.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
