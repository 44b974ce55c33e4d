"""The tutorial, followed to the letter in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

# A reader types these too, but they install, ask for a password, or serve until somebody stops them.
NOT_HERE = ("pip install", "createsuperuser", "runserver")

# What differs from one time to the next, as it is written on the page and as it comes out.
VARYING = (
    (re.compile(r"\S*/db\.sqlite3"), "FILE"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"^[0-9a-f]{8}\b"), "ID"),
    (re.compile(r"(\d{4}-)?\d\d-\d\d \d\d:\d\d(:\d\d)?"), "MOMENT"),
    (re.compile(r"(?<=  )\d\d:\d\d:\d\d(?=  |$)"), "MOMENT"),  # of today
    (re.compile(r"^\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"process \d+"), "process PID"),
    (re.compile(r"\d+ parked, \d+ steps"), "some parked, some steps"),
    (re.compile(r"\b(in )?(\d+(\.\d+)? ?(us|ms|s|min|h|d)\b ?)+"), "SPAN "),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A command, and the lines that follow it on the page."""

    command: str
    output: list[str]


def blocks() -> Iterator[tuple[str, str]]:
    for found in BLOCK.finditer(TUTORIAL.read_text("utf-8")):
        yield found[1], found[2]


def commands(text: str) -> Iterator[Typed]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *output = part.splitlines()
        yield Typed(command=command, output=output)


def write(folder: Path, text: str) -> None:
    """Write a file, whose name the first line of its block says."""
    head, _, content = text.partition("\n")
    name, _, instruction = head.removeprefix("# ").partition(": ")
    path = folder / name
    path.write_text((path.read_text() + "\n" if instruction == "add at the end" else "") + content)


def run(folder: Path, command: str) -> str:
    # The tutorial's project is a stranger: it inherits nothing from these tests but their Python.
    mine = {"DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in mine}
    environment |= {"COLUMNS": "120", "PYTHONDONTWRITEBYTECODE": "1"}
    words = shlex.split(command)
    assert words[0] == "python", command
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def lines(text: list[str]) -> Counter[str]:
    """The lines without what varies. Processes write side by side, so their order is not compared."""
    plain = []
    for line in text:
        for pattern, word in VARYING:
            line = pattern.sub(word, line)
        plain.append(line.strip())
    return Counter(line for line in plain if line)


def check(typed: Typed, printed: str) -> None:
    """The page shows what is printed; a line of dots stands for any."""
    expected, found = lines(typed.output), lines(printed.splitlines())
    has_dots = expected.pop("...", 0)
    assert not expected - found, f"{typed.command}\n{printed}"
    assert has_dots or not found - expected, f"{typed.command}\n{printed}"


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the tutorial has an SQLite database of its own: once is enough"
)
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    for language, text in blocks():
        if language == "python":
            write(tmp_path, text)
            continue
        for typed in commands(text):
            if not any(words in typed.command for words in NOT_HERE):
                check(typed, run(tmp_path, typed.command))
    check_admin(tmp_path)


def check_admin(folder: Path) -> None:
    """The address that the page gives answers."""
    (address,) = re.findall(r"<http://127.0.0.1:8000(/[^>]+)>", TUTORIAL.read_text("utf-8"))
    look = (
        "from django.contrib.auth.models import User; from django.test import Client; client = Client(); "
        "client.force_login(User.objects.create_superuser('ada')); "
        f"print(client.get('{address}', headers={{'host': '127.0.0.1'}}).status_code)"
    )
    assert run(folder, f"python manage.py shell --verbosity 0 --command {shlex.quote(look)}").strip() == "200"


def test_every_block_of_the_tutorial_is_written_or_typed() -> None:
    """A block in another language, or a file without a name, would be left out without a word."""
    text = TUTORIAL.read_text("utf-8")
    assert text.count("```") == 2 * len(list(blocks()))
    heads = [content.splitlines()[0] for language, content in blocks() if language == "python"]
    assert [head for head in heads if not re.fullmatch(r"# [\w/]+\.py(: add at the end)?", head)] == []
