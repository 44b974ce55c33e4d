"""One text names a database: `DATABASE_URL` to Django's settings and back.

sqlite:///shop.sqlite3                          a file, relative to the working directory
sqlite:////var/lib/shop.sqlite3                 a file, absolute
postgres://user:password@host:5432/name?sslmode=require
postgres://user@/name?host=/run/postgresql      through a Unix socket
cockroachdb://root@localhost:26257/defaultdb
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

SQLITE = "django.db.backends.sqlite3"
POSTGRES = "django.db.backends.postgresql"
COCKROACHDB = "django_cockroachdb"

ENGINES = {
    "sqlite": SQLITE,
    "postgres": POSTGRES,
    "postgresql": POSTGRES,
    "cockroachdb": COCKROACHDB,
    "cockroach": COCKROACHDB,
}
SCHEMES = {SQLITE: "sqlite", POSTGRES: "postgres", COCKROACHDB: "cockroachdb"}

# Several threads write to one file: take the write lock when a transaction begins, since upgrading a read lock later
# fails at once instead of waiting; and let readers go on while somebody writes.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
}


def to_settings(url: str) -> dict[str, Any]:
    """The entry of `DATABASES` for a URL. Raises ValueError for a scheme that is not in `ENGINES`."""
    parts = urlsplit(url)
    if parts.scheme not in ENGINES:
        raise ValueError(f"DATABASE_URL begins with {parts.scheme!r}; it must begin with one of: {', '.join(ENGINES)}.")
    name = unquote(parts.path.removeprefix("/"))
    if ENGINES[parts.scheme] == SQLITE:
        return {"ENGINE": SQLITE, "NAME": name, "OPTIONS": dict(SQLITE_OPTIONS)}
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": ENGINES[parts.scheme],
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
    }


def from_settings(database: dict[str, Any]) -> str:
    """The URL of an entry of `DATABASES`, so that another process can be told to use the same database."""
    scheme, name = SCHEMES[database["ENGINE"]], quote(str(database["NAME"]))
    if scheme == "sqlite":
        return f"sqlite:///{name}"
    user = quote(database["USER"], safe="")
    password = ":" + quote(database["PASSWORD"], safe="") if database["PASSWORD"] else ""
    port = f":{database['PORT']}" if database["PORT"] else ""
    options = {"host": database["HOST"]} | {key: str(value) for key, value in database.get("OPTIONS", {}).items()}
    return f"{scheme}://{user}{password}@{port}/{name}?{urlencode(options)}"
