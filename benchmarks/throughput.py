"""How many workflows and steps one worker process finishes in a second: `python -m benchmarks.throughput`.

On a PostgreSQL of its own with that server's default settings (fsync on), or on `DATABASE_URL`. Every step's result is
committed before the next step starts.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.postgres import server


def main() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.settings"}
    command = [sys.executable, "manage.py", "measure"]
    if environment.get("DATABASE_URL"):
        subprocess.run(command, env=environment, check=True)
        return
    with server(options={}) as postgres:
        subprocess.run(command, env={**environment, "DATABASE_URL": postgres.get_uri()}, check=True)


if __name__ == "__main__":
    main()
