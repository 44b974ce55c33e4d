"""Where in the code an exception came from, in a few words."""

from __future__ import annotations

import os
import sysconfig
import traceback
from functools import cache
from pathlib import Path

_OURS = str(Path(__file__).parent.parent) + os.sep


@cache
def _others() -> tuple[str, ...]:
    """Folders of what the project did not write: libraries, Python itself, and this package."""
    paths = (sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib"))
    return (*{str(Path(path)) + os.sep for path in paths if path}, _OURS)


def place_of(error: BaseException) -> str:
    """File, line and function of the project's innermost frame, or of the innermost of all: "shop/pay.py:41 in charge".

    Empty when nothing was raised anywhere: an error that was made and returned.
    """
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(code, line) for code, line in frames if not code.co_filename.startswith((*_others(), "<frozen"))]
    for code, line in reversed(own or frames):
        return f"{_short(code.co_filename)}:{line} in {code.co_name}"
    return ""


def _short(path: str) -> str:
    """Relative to the folder that the process works in, if it lies within."""
    here = os.getcwd() + os.sep
    return path.removeprefix(here)
