"""Writes `docs/settings.md` from the code: `python docs/settings_page.py`; `--check` only says whether it is stale."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.md"

HEAD = """\
# Settings

Everything is optional and stands in one dict in the project's settings:

```python
WORKFLOWS = {
    "THREADS": 16,
    "DEFAULT_RETRY": {"max_attempts": 5, "max_interval": "5 minutes"},
}
```

A setting is read when it is needed, so `override_settings` works in tests. `manage.py check` names unknown keys and
wrong values. Durations are seconds.

This page is made from the code: `python docs/settings_page.py`.

"""

CHECKS = """
## System checks

`manage.py check` tells what is wrong by these ids, each below `django_workflows.`; an E is an error, a W a warning.
Those marked `--database` ask the database itself: `manage.py check --database default`.

"""


def page() -> str:
    """The page as it should be."""
    defaults = import_module("django_workflows.conf").DEFAULTS
    checks = import_module("django_workflows.checks").__doc__ or ""
    table = ["| setting | type | default | at least | |", "|---|---|---|---|---|"]
    table += [_row(name, setting) for name, setting in defaults.items()]
    return HEAD + "\n".join(table) + "\n" + CHECKS + "\n".join(_check_table(checks)) + "\n"


def _row(name: str, setting: Any) -> str:
    types = " or ".join(f"`{type.__name__}`" for type in setting.types)
    minimum = "" if setting.minimum is None else f"{setting.minimum:g}"
    return f"| `{name}` | {types} | `{_literal(setting.default)}` | {minimum} | {setting.help} |"


def _literal(value: Any) -> str:
    """A default as one would write it."""
    return f"{value:_}" if type(value) is int and value >= 10_000 else repr(value)


def _check_table(docstring: str) -> Iterator[str]:
    """The table that stands in the docstring of the checks."""
    return (line for line in docstring.splitlines() if line.startswith("|"))


def main(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")
    sys.path.insert(0, str(ROOT))
    import_module("django").setup()
    if "--check" not in arguments:
        PAGE.write_text(page(), "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != page():
        sys.stderr.write("docs/settings.md is out of date: run `python docs/settings_page.py`.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
