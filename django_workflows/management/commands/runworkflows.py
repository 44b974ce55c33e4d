"""`manage.py runworkflows`: work on executions until told to stop."""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from django_workflows import conf
from django_workflows.authoring.registry import registry
from django_workflows.clock import monotonic
from django_workflows.engine.worker.process import WorkerOptions
from django_workflows.engine.worker.supervisor import Supervisor
from django_workflows.management import preflight
from django_workflows.management.reloading import RELOAD_STATUS, Reloader, run_reloading
from django_workflows.services import CHORES

DRAIN_SECONDS = 5.0
PROGRESS_SECONDS = 0.5
CLEAR = "\r\033[K"  # to the beginning of a terminal's line, and what stands there is gone

LOGGER = logging.getLogger("django_workflows")
LEVELS = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}


class Command(BaseCommand):
    help = "Executes workflows until it is told to stop (Ctrl-C or SIGTERM drains, a second one stops at once)."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--queue", action="append", dest="queues", metavar="NAME", help="Serve only this queue; repeatable (all).")
        add("--processes", type=_positive, help="Worker processes (setting PROCESSES).")
        add("--threads", type=_positive, help="`def` workflows at once, per process (setting THREADS).")
        add("--async-slots", type=_positive, help="`async def` workflows at once, per process (setting ASYNC_SLOTS).")
        add("--drain", action="store_true", help=f"End when nothing falls due within {DRAIN_SECONDS:g} seconds.")
        add("--autoreload", action="store_true", help="Start again when code changes.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["autoreload"] and os.environ.get(conf.RELOADING) is None:
            raise SystemExit(run_reloading(conf.RELOADING))
        reloader = Reloader() if options["autoreload"] else None
        is_live = options["drain"] and sys.stdout.isatty() and not LOGGER.hasHandlers()
        _log_to(self.stdout, options["verbosity"], over=CLEAR if is_live else "")
        worker_options = _worker_options(options)
        processes = options["processes"] or conf.processes()
        self._refuse_too_many(processes)
        if not preflight.passes(conf.database(), only_missing=conf.RELOADING not in os.environ):
            raise CommandError("runworkflows did not start; see above.")
        if options["verbosity"]:
            self._print_banner(worker_options, processes)
        progress = Progress(self.stdout, live=is_live)
        supervisor = Supervisor(worker_options, processes, on_tick=lambda totals: _tick(progress, reloader, totals))
        status = supervisor.run()
        progress.finish(supervisor.totals(), summary=bool(options["verbosity"]))
        if reloader is not None and reloader.has_changed:
            raise SystemExit(RELOAD_STATUS)
        if status:
            raise SystemExit(status)

    def _refuse_too_many(self, processes: int) -> None:
        if processes > 1 and connections[conf.database()].vendor == "sqlite":
            raise CommandError("SQLite has one writer: use --processes 1 (more --threads do help), or PostgreSQL.")

    def _print_banner(self, options: WorkerOptions, processes: int) -> None:
        connection = connections[conf.database()]
        name = connection.settings_dict["NAME"]
        names = sorted({name for name, _, _ in registry.served()})
        shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        slots = f"{processes} process(es) × {options.threads} threads, {options.async_slots} async"
        for label, value in (
            ("database", f"{connection.vendor} {name}"),
            ("queues", ", ".join(options.queues) or "all"),
            ("workflows", shown or "none found: is there a workflows.py in an installed app?"),
            ("slots", slots),
        ):
            self.stdout.write(f"{label:<10} {value}")
        self.stdout.write("Quit with Ctrl-C.")
        self.stdout.flush()


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError(text)
    return int(text)


def _worker_options(options: dict[str, Any]) -> WorkerOptions:
    queues = tuple(dict.fromkeys(options["queues"] or ()))
    return WorkerOptions(
        queues=queues,
        threads=options["threads"] or conf.threads(),
        async_slots=options["async_slots"] or conf.async_slots(),
        branch_threads=conf.branch_threads(),
        grace=conf.grace(),
        until_idle=DRAIN_SECONDS if options["drain"] else None,
        chores=CHORES,
    )


def _log_to(stream: Any, verbosity: int, *, over: str = "") -> None:
    """One line per notable event, unless the project's own handlers get them; `over` takes a live line away.

    A level that the project has set for this logger holds as long as nobody asks for more or less.
    """
    if not LOGGER.hasHandlers():
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter(f"{over}%(asctime)s %(message)s", "%H:%M:%S"))
        LOGGER.addHandler(handler)
        LOGGER.propagate = False
    if LOGGER.level == logging.NOTSET or verbosity != 1:
        LOGGER.setLevel(LEVELS[verbosity])


def _tick(progress: Progress, reloader: Reloader | None, totals: dict[str, float]) -> None:
    progress.show(totals)
    if reloader is not None:
        reloader.look()


class Progress:
    """A live line on a terminal while draining, and a summary at the end."""

    def __init__(self, stream: Any, *, live: bool) -> None:
        self._stream, self._live = stream, live
        self._began = self._shown_at = monotonic()

    def show(self, totals: dict[str, float]) -> None:
        if self._live and monotonic() - self._shown_at >= PROGRESS_SECONDS:
            self._shown_at = monotonic()
            self._stream.write(f"{CLEAR}{self._line(totals)}, {totals['held']:.0f} in progress", ending="")
            self._stream.flush()

    def finish(self, totals: dict[str, float], *, summary: bool) -> None:
        if self._live:
            self._stream.write(CLEAR, ending="")
        if summary:
            self._stream.write(f"{self._line(totals)} in {monotonic() - self._began:.1f} s")

    def _line(self, totals: dict[str, float]) -> str:
        parts = [f"{totals[name]:.0f} {name}" for name in ("completed", "failed", "parked", "steps")]
        return ", ".join(parts)
