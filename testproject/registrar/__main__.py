"""python -m testproject.registrar --port 8091 --zone zone.sqlite3 [--spread-seconds 5] [--per-second 2]"""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from testproject.registrar.server import Registrar


def main(arguments: Sequence[str]) -> None:
    parser = ArgumentParser(prog="python -m testproject.registrar", description=Registrar.__doc__)
    parser.add_argument("--port", type=int, default=8091)
    parser.add_argument("--zone", type=Path, required=True, metavar="FILE", help="SQLite file with its records")
    parser.add_argument("--spread-seconds", type=float, default=5.0, help="until the world sees a record")
    parser.add_argument("--per-second", type=float, default=2.0, help="calls that are allowed")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    limits = {"spread_seconds": options.spread_seconds, "per_second": options.per_second}
    with Registrar(options.zone, port=options.port, **limits) as registrar:
        print(f"The registrar listens on {registrar.url}, its zone is {options.zone}.", flush=True)
        try:
            registrar.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
