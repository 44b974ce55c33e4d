"""The measurements really measure: small ones, with real workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.protocol import Reading, read

ROOT = Path(__file__).resolve().parents[2]


def ask(url: str, name: str, **sizes: int) -> Reading:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.ours", name, json.dumps(sizes)],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "benchmarks.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return read(ended.stdout)


@pytest.mark.django_db(transaction=True)
def test_a_rate_is_measured_of_executions_that_have_all_completed(database_url: str) -> None:
    reading = ask(database_url, "W2", executions=20, steps=10)
    assert (reading.completed, reading.expected) == (20, 20)
    assert reading.figures["rate"] > 0
    assert reading.figures["cpu"] > 0
