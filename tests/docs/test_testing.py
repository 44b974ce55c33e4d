from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the page's tests have an SQLite database of their own: once is enough"
)
def test_the_examples_of_the_page_are_tests_that_pass(tmp_path: Path) -> None:
    """docs/testing.md, its Python in one file, as a reader would have it."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n\n".join(blocks))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)]
    options = ["--rootdir", str(tmp_path), "-c", os.devnull, "--ds", "testproject.settings"]
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}"}

    done = subprocess.run(
        [*command, *options], cwd=PAGE.parents[1], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"{len(re.findall('def test_', PAGE.read_text()))} passed", done.stdout), done.stdout
