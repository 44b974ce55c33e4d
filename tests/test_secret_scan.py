"""What the scan for secrets lets through, and what not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import secret_scan

KEY = "AKIA" + "IOSFODNN7EXAMPLE"  # put together, or the scan would find it here


@pytest.mark.parametrize(
    ("name", "text", "is_told"),
    [
        ("django_workflows/a.py", f'KEY = "{KEY}"\n', True),
        ("tests/a.py", f'KEY = "{KEY}"\n', True),
        ("django_workflows/a.py", 'password = "open-sesame"\n', True),
        ("tests/a.py", 'password = "open-sesame"\n', False),
        ("docs/a.md", "postgres://ada:secret@localhost/db\n", False),
        ("django_workflows/a.py", "VALUE = 1\n", False),
    ],
)
def test_a_key_is_told_and_what_is_made_up_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, is_told: bool
) -> None:
    monkeypatch.setattr(secret_scan, "ROOT", tmp_path)
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(text)

    found = list(secret_scan.unexplained(iter([name])))

    assert bool(found) is is_told
    assert KEY not in str(found)
