"""`python -m tests.secret_scan`: no file that git knows holds a password or a key, but for what is explained here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.potential_secret import PotentialSecret
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings

ROOT = Path(__file__).resolve().parents[1]

# What says `password = "…"` or `scheme://user:password@host`: in tests and examples it is made up, and has to be there.
GUESSES = {"Secret Keyword", "Basic Auth Credentials"}
MADE_UP = ("tests/", "testproject/", "benchmarks/", "docs/")

# Files in which something looks like a key and is none.
EXPLAINED = {
    "django_workflows/admin/triggers.py": "the name of a setting's entry, as a form shows it",
    "django_workflows/triggers/webhooks/schemes.py": "the name of a header",
    "docs/operating-by-sql.md": "the id of an execution",
    "testproject/github/samples/": "deliveries as GitHub documents them, with ids of commits",
    "tests/data/github-webhooks/": "the same",
    "tests/codec/test_redaction.py": "texts that look like secrets, made up to be hidden",
    "tests/docs/test_sql_recipes.py": "the id of an execution",
    "tests/testing/test_webhooks.py": "the example of the specification of Standard Webhooks",
    "tests/triggers/webhooks/": "the same, and secrets that are made up",
}


def files() -> Iterator[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return (name for name in listed.decode().split("\0") if name and (ROOT / name).is_file())


def is_explained(name: str, found: PotentialSecret) -> bool:
    return name.startswith(tuple(EXPLAINED)) or (found.type in GUESSES and name.startswith(MADE_UP))


def unexplained(names: Iterator[str]) -> Iterator[str]:
    """Each finding as a sentence, without the secret."""
    with default_settings():
        for name in names:
            for found in scan_file(str(ROOT / name)):
                if not is_explained(name, found):
                    yield f"{name}:{found.line_number}: looks like a secret ({found.type})"


def main() -> int:
    found = sorted(set(unexplained(files())))
    for line in found:
        sys.stderr.write(f"{line}\n")
    if found:
        sys.stderr.write("Take it out, and out of the history; if it is none, say why in tests/secret_scan.py.\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
