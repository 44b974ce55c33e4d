"""The commands of a page, typed against a real server with a real worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from testproject.settings import BASE_DIR

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PATIENCE = 30.0
NEEDED = pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl"))), reason="types commands with curl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A command, and what the page says that it prints."""

    command: str
    output: str


def typed(text: str) -> Iterator[Typed]:
    """The commands of a page; one that goes on in further lines has them indented."""
    for block in CONSOLE.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, *lines = part.splitlines()
            more = [line for line in lines if line.startswith("    ")]
            output = [line for line in lines if not line.startswith("    ")]
            yield Typed(command="\n".join([first, *more]), output="\n".join(output))


class Reader:
    """Types the commands, with the variables that the page has set, and compares what they print."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.environment = os.environ | variables
        self.own = set(variables)
        self.last = ""

    def read(self, text: str) -> int:
        """Type all commands; how many there were."""
        found = list(typed(text))
        for one in found:
            self.type(one)
        return len(found)

    def type(self, one: Typed) -> None:
        if setting := re.match(r"(\w+)=\S*( \w+=\S*)*$", one.command):
            # where the server is, and who asks, is the test's; an id is that of the last answer
            if setting[1] not in self.own:
                self.environment[setting[1]] = self.last
            return
        changes = any(option in one.command for option in (" -d ", " -X ", "--data"))
        deadline = time.monotonic() + (0 if changes else PATIENCE)
        while not fits(one, printed := self.run(one.command)):
            # who looks before the worker has done its part looks again
            assert time.monotonic() < deadline, f"{one.command}\n{printed}\nThe page says:\n{one.output}"
        if printed.startswith("{"):
            answer = json.loads(printed)
            first = next(iter(answer.get("results", ())), answer)
            self.last = first.get("id", self.last)

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            env=self.environment,
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout


def fits(one: Typed, printed: str) -> bool:
    """An ellipsis stands for anything; ids differ."""
    pieces = [re.escape(ID.sub("ID", piece)) for piece in re.split("…", one.output.strip())]
    return re.fullmatch(".*".join(pieces), ID.sub("ID", printed.strip()), re.DOTALL) is not None


def project_environment(folder: Path) -> dict[str, str]:
    """For a worker of the test project."""
    return {"DJANGO_SETTINGS_MODULE": "testproject.settings", "SAMPLE_FOLDER": str(folder)}
