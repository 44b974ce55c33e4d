"""Who is measured, and how each is asked: a command in an environment of its own, on a database of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.catalogue import Measure
from benchmarks.protocol import Reading, read

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".bench"
PEERS = ("dbos", "absurd", "procrastinate")
OURS = "ours"
BARE = "database"
NAMES = (OURS, *PEERS, BARE)
PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class System:
    """One of those that are compared."""

    name: str
    command: tuple[str, ...]

    @property
    def is_peer(self) -> bool:
        return self.name in PEERS

    def sizes(self, measure: Measure) -> Mapping[str, int] | None:
        """How much of it this system is asked for; None for not at all."""
        if self.name == BARE:
            return measure.bare
        return measure.peers if self.is_peer else measure.sizes or None

    def ask(
        self, name: str, sizes: Mapping[str, int], url: str, settings: Mapping[str, object] | None = None
    ) -> Reading:
        """Have it measured. What fails is told as a reason, and the others go on."""
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "PYTHONPATH": str(ROOT),
            "BENCH_WORKFLOWS": json.dumps(settings or {}),
        }
        try:
            return read(self._answer([*self.command, name, json.dumps(sizes)], environment))
        except (subprocess.SubprocessError, ValueError, IndexError) as error:
            return Reading(cannot=f"It failed: {error}", expected=sizes.get("executions", 1))

    def _answer(self, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """What the runner wrote. Its workers are in its process group, and end with it at the latest."""
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as runner:
            try:
                output, _ = runner.communicate(timeout=PATIENCE)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(runner.pid, signal.SIGKILL)
        if runner.returncode:
            raise subprocess.CalledProcessError(runner.returncode, " ".join(command))
        return output


def system(name: str) -> System:
    """The system of this name; the environment of a peer is made when it is not there."""
    if name == OURS:
        return System(name, (sys.executable, "-m", "benchmarks.ours"))
    if name == BARE:
        return System(name, (sys.executable, "-m", "benchmarks.bare"))
    return System(name, (str(environment_of(name)), str(ROOT / "benchmarks" / "peers" / name / "run.py")))


def environment_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made anew when its requirements have changed."""
    folder, requirements = ENVIRONMENTS / peer, ROOT / "benchmarks" / "peers" / peer / "requirements.txt"
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(requirements)], check=True, stdout=sys.stderr)
        installed.write_text(requirements.read_text())
    return python
