"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import django


def facts(postgres: str, extent: str) -> dict[str, str]:
    """Processor, memory and versions, in words; `extent` says how much was measured."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {extent}",
        "code": _revision(),
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "django": django.get_version(),
        "postgresql": f"{postgres}, default settings (fsync on), on the same machine",
        "load": f"{os.getloadavg()[0]:.1f} processes wanted to run in the minute before",
    }


def _revision() -> str:
    """The commit, and whether something has been changed since."""
    try:
        told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "no repository"
    return told.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
