"""A new database for each measurement, copied from one that its system has prepared once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.systems import System


class Unprepared(Exception):
    """A system could not make its tables."""


class Databases:
    """Databases on one PostgreSQL server, and SQLite files in one folder."""

    def __init__(self, server_url: str, folder: Path) -> None:
        self._server_url, self._folder = server_url, folder
        self._prepared: set[str] = set()
        self._server = psycopg.connect(server_url, autocommit=True)

    @contextmanager
    def fresh(self, system: System, *, sqlite: bool = False) -> Iterator[str]:
        """The URL of an empty database with the tables of `system`."""
        if sqlite:
            yield from self._file(system)
        else:
            yield from self._database(system)

    def _database(self, system: System) -> Iterator[str]:
        template, name = f"prepared_{system.name}", f"measured_{system.name}"
        if template not in self._prepared:
            self._server.execute(f"DROP DATABASE IF EXISTS {template} WITH (FORCE)")
            self._server.execute(f"CREATE DATABASE {template}")
            self._prepare(system, self._url(template))
            self._prepared.add(template)
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._server.execute("CHECKPOINT")  # or this system would pay for what the last one has written
        try:
            yield self._url(name)
        finally:
            self._server.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _file(self, system: System) -> Iterator[str]:
        prepared, file = self._folder / "prepared.sqlite3", self._folder / "measured.sqlite3"
        if not prepared.exists():
            self._prepare(system, f"sqlite:///{prepared}")
        shutil.copy(prepared, file)
        try:
            yield f"sqlite:///{file}"
        finally:
            for path in self._folder.glob("measured.sqlite3*"):
                path.unlink()

    def _prepare(self, system: System, url: str) -> None:
        reading = system.ask("prepare", {}, url)
        if reading.cannot:
            raise Unprepared(f"The database of {system.name} could not be prepared. {reading.cannot}")

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))

    @property
    def version(self) -> str:
        return str(self._server.info.parameter_status("server_version"))
