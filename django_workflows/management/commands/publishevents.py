"""`manage.py publishevents`: publishes a foreign stream of events, one JSON object in each line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from django_workflows import codec, conf
from django_workflows.client.messages import publish_or_get
from django_workflows.exceptions import InvalidInput, PayloadError
from django_workflows.management.jsonl import Line, read_lines
from django_workflows.management.output import told

HELP = """Publishes events from standard input, or a file: one JSON object in each line, with "id", "name" and "data",
and optionally "source", "headers" and "deliver_at".

An id that was published before is passed over, so after a crash the stream is simply fed again from an earlier place.
With --ack the id of each line is printed once it is committed: a feeder remembers the last one, and starts after it."""


class Command(BaseCommand):
    help = HELP
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("file", nargs="?", metavar="FILE", help="Instead of standard input.")
        add("--source", default="", metavar="TEXT", help="The source of events that name none.")
        add("--after", metavar="ID", help="Pass over everything up to the line with this id, and that line.")
        add("--batch", type=int, default=1, metavar="N", help="Commit every N lines (default: 1). Faster, and later.")
        add("--ack", action="store_true", help="Print the id of each line once it is committed.")
        add("--skip-invalid", action="store_true", help="Tell what is wrong with a line and go on, instead of ending.")
        add("--without-ids", action="store_true", help="Take lines without an id; fed again, they are published again.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["batch"] <= 10_000:
            raise CommandError("--batch is a number from 1 to 10000.")
        feed = Feed(self, options)
        with told():
            self._feed(feed, options)

    def _feed(self, feed: Feed, options: dict[str, Any]) -> None:
        try:
            with _opened(options["file"]) as stream:
                feed.run(stream)
        except BrokenPipeError:
            raise CommandError("Nobody reads the acknowledged ids any more; feed again after the last one.") from None
        except OSError as error:
            raise CommandError(f"{options['file'] or 'Standard input'} cannot be read: {error}") from None
        except KeyboardInterrupt:
            feed.stop()
        self.stderr.write(feed.summary())
        if feed.invalid and not options["skip_invalid"]:
            raise CommandError(f"Line {feed.invalid[-1]} was not published, nor what follows; mend it and go on there.")


class Feed:
    """One stream: what of it is committed, and what was wrong."""

    def __init__(self, command: Command, options: dict[str, Any]) -> None:
        self._command, self._options = command, options
        self._waiting: list[Line] = []
        self._passing = options["after"] is not None
        self.published = self.known = self.passed = 0
        self.invalid: list[int] = []

    def run(self, stream: BinaryIO) -> None:
        for line in self._valid(stream):
            self._waiting.append(line)
            if len(self._waiting) >= self._options["batch"]:
                self._commit()
            if self._is_over:
                break
        self._commit()
        if self._passing:
            raise CommandError(f"No line has the id {self._options['after']!r}: nothing was published.")

    @property
    def _is_over(self) -> bool:
        return bool(self.invalid) and not self._options["skip_invalid"]

    def stop(self) -> None:
        """What is not committed is not acknowledged either; it comes again."""
        self._waiting.clear()

    def summary(self) -> str:
        parts = [f"{self.published} published", f"{self.known} known before"]
        parts += [f"{self.passed} passed over"] if self.passed else []
        parts += [f"{len(self.invalid)} invalid"] if self.invalid else []
        return ", ".join(parts) + "."

    def _valid(self, stream: BinaryIO) -> Iterator[Line]:
        for number, line in read_lines(stream, self._options["source"], with_ids=not self._options["without_ids"]):
            if isinstance(line, Line) and not self._is_passed(line):
                yield line
            elif isinstance(line, InvalidInput) and not self._passing:
                self._refuse(number, line)
            if self._is_over:
                return

    def _refuse(self, number: int, problem: Exception) -> None:
        self._command.stderr.write(codec.printable(f"Line {number}: {problem}"))
        self.invalid.append(number)

    def _is_passed(self, line: Line) -> bool:
        if not self._passing:
            return False
        self.passed += 1
        self._passing = line.id != self._options["after"]
        return True

    def _commit(self) -> None:
        """Publish what waits, in one transaction; then say so."""
        done: list[tuple[Line, bool]] = []
        with transaction.atomic(using=conf.database()):
            for line in self._waiting:
                try:
                    done.append((line, _publish(line)))
                except (InvalidInput, PayloadError) as problem:
                    self._refuse(line.number, problem)
                    if self._is_over:
                        break
        self._waiting.clear()
        self.published += sum(is_new for _, is_new in done)
        self.known += sum(not is_new for _, is_new in done)
        if self._options["ack"]:
            for line, _ in done:
                self._command.stdout.write(codec.printable(line.id or ""))
            self._command.stdout.flush()


def _publish(line: Line) -> bool:
    """Whether it is new."""
    _, is_new = publish_or_get(
        line.name, line.data, id=line.id, source=line.source, headers=line.headers, deliver_at=line.deliver_at
    )
    return is_new


def _opened(name: str | None) -> BinaryIO:
    return sys.stdin.buffer if name is None or name == "-" else open(name, "rb")
