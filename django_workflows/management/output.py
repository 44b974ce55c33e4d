"""Where the `workflows` commands write, and in which form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.core.management.color import Style

from django_workflows import codec
from django_workflows.codec.printing import CONTINUED
from django_workflows.exceptions import WorkflowsError
from django_workflows.management.as_json import to_json
from django_workflows.management.moments import in_words
from django_workflows.management.tables import clean, cut, table, terminal_width

MOST_COLUMNS = 2_000  # of one value; --json gives the whole

_STYLES = {"failed": "ERROR", "completed": "SUCCESS", "paused": "WARNING", "rolling_back": "WARNING"}


@contextmanager
def told() -> Iterator[None]:
    """Errors of a command in words that a terminal may be shown: they quote what was typed and what is stored."""
    try:
        yield
    except CommandError as error:
        raise CommandError(codec.printable(error, CONTINUED), returncode=error.returncode) from error.__cause__
    except WorkflowsError as error:
        raise CommandError(codec.printable(error, CONTINUED)) from None


@dataclass(frozen=True, slots=True)
class Output:
    """Text for people, or one JSON document for programs."""

    stream: OutputWrapper
    style: Style
    as_json: bool = False
    full: bool = False  # nothing is cut, times are told with date and zone

    @property
    def width(self) -> int | None:
        """Columns that there are; None where nobody looks at a terminal: what reads a pipe wants the whole."""
        return terminal_width() if self.stream.isatty() and not self.full else None

    def moment(self, moment: datetime | None) -> str:
        return in_words(moment, full=self.full)

    def line(self, text: str = "", *, status: str = "") -> None:
        """A line, which begins with a status in the colour of its kind."""
        self.stream.write(self._status(status) + codec.printable(text))

    def heading(self, text: str) -> None:
        self.stream.write(self.style.MIGRATE_HEADING(codec.printable(text)))

    def json(self, value: Any) -> None:
        self.stream.write(to_json(value))

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]], *, wrapped: bool = False) -> None:
        """With `wrapped` the last column is never cut."""
        for number, line in enumerate(table(headers, rows, self.width, wrapped=wrapped)):
            self.stream.write(self.style.MIGRATE_LABEL(line) if number == 0 else line)

    def facts(self, facts: Sequence[tuple[str, object]]) -> None:
        """Names and values one below the other, without what is empty."""
        known = [(name, value) for name, value in facts if value not in (None, "", {}, [])]
        width = max((len(name) for name, _ in known), default=0)
        for name, value in known:
            self.stream.write(f"{name:<{width}}  {cut(clean(value), MOST_COLUMNS) if self.width else clean(value)}")

    def _status(self, status: str) -> str:
        return str(getattr(self.style, _STYLES.get(status, "NOTICE"))(status))
