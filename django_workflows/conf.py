"""Every setting: one documented function over the dict `WORKFLOWS`, read when called.

`DEFAULTS` is the reference: the docs page and the system checks are made from it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Setting:
    default: Any
    types: tuple[type, ...]
    minimum: float | None
    help: str


_number = (int, float)

RELOADING = "DJANGO_WORKFLOWS_RELOADING"  # in the environment of the process that --autoreload starts again and again

# Keys whose values people are not shown; a project adds its own: `"REDACT": [*SECRET_KEYS, "iban"]`.
SECRET_KEYS = (
    "*password",
    "*passwd",
    "passphrase",
    "*secret",
    "*token",
    "*api_key",
    "*secret_key",
    "*private_key",
    "*access_key",
    "*authorization",
    "*cookie",
    "*credentials",
    "session_id",
    "credit_card*",
    "card_number",
    "cvv",
    "cvc",
)

DEFAULTS: dict[str, Setting] = {
    "DATABASE": Setting("default", (str,), None, "Alias of the database that holds the engine's tables."),
    "EAGER": Setting(False, (bool,), None, "Drive executions inside `start()`, in the caller's process."),
    "DEFAULT_QUEUE": Setting("default", (str,), None, "Queue of workflows that name none."),
    "DEFAULT_RETRY": Setting({}, (dict,), None, "Retry policy of steps without one: the keyword arguments of `Retry`."),
    "THREADS": Setting(32, (int,), 1, "Executions of `def` workflows that one worker process runs at once."),
    "ASYNC_SLOTS": Setting(
        1000, (int,), 1, "Executions of `async def` workflows that one worker process runs at once."
    ),
    "BRANCH_THREADS": Setting(32, (int,), 0, "Extra threads per worker process for parallel branches."),
    "PROCESSES": Setting(1, (int,), 1, "Worker processes; SQLite allows one."),
    "LEASE": Setting(30.0, _number, 0.2, "Seconds until the executions of a lost worker are taken over."),
    "HANG_TIMEOUT": Setting(60.0, _number, 1, "Seconds without a beat after which a worker process is killed."),
    "GRACE": Setting(30.0, _number, 0, "Seconds that SIGTERM leaves to the steps in flight."),
    "POLL_INTERVAL": Setting(
        0.5, _number, 0.01, "Longest time in seconds between two looks at the database, without LISTEN."
    ),
    "LISTEN": Setting(True, (bool,), None, "Use LISTEN/NOTIFY where the database has it (PostgreSQL)."),
    "LISTEN_POLL_INTERVAL": Setting(1.0, _number, 0.01, "The same as POLL_INTERVAL while LISTEN works."),
    "MAX_PAYLOAD_BYTES": Setting(
        1024 * 1024, (int,), 64, "Largest JSON text of an input, result, signal or output, in bytes."
    ),
    "MAX_PAYLOAD_DEPTH": Setting(64, (int,), 1, "Deepest nesting of such a value."),
    "MAX_STEPS": Setting(10_000, (int,), 1, "Most journal rows of one execution and generation."),
    "MAX_DEPTH": Setting(
        100,
        (int,),
        1,
        "Most levels of children below an execution; ends a workflow that starts itself as a child.",
    ),
    "MISMATCH_RELEASES": Setting(
        3,
        (int,),
        0,
        "Times an execution whose journal does not match the code is left to other workers first; "
        "once under --autoreload with DEBUG, unless set.",
    ),
    "MISMATCH_DELAY": Setting(30.0, _number, 0, "Seconds between these; 1 under --autoreload with DEBUG, unless set."),
    "EVENT_WINDOW": Setting(86_400.0, _number, 0, "Seconds during which an event id that was seen before is a no-op."),
    "WEBHOOK_SECRETS": Setting(
        {}, (dict,), None, "Secrets of webhooks by name; a list where a new one takes the place of an old one."
    ),
    "WEBHOOK_MAX_BODY_BYTES": Setting(1024 * 1024, (int,), 1, "Largest body of a delivery to a webhook, in bytes."),
    "API_PAGE_SIZE": Setting(50, (int,), 1, "Rows on a page of the HTTP API when the caller names no `limit`."),
    "API_MAX_PAGE_SIZE": Setting(200, (int,), 1, "Largest `limit` that a caller of the HTTP API may name."),
    "API_MAX_PAGE_BYTES": Setting(
        4 * 1024 * 1024,
        (int,),
        1024,
        "Bytes of stored values on a page of the HTTP API, and in the answer to a JSON-RPC batch; more comes with the "
        "next. One row comes in any case.",
    ),
    "API_MAX_BODY_BYTES": Setting(
        4 * 1024 * 1024, (int,), 1024, "Largest body of a request to the HTTP API, in bytes."
    ),
    "API_MAX_BATCH": Setting(100, (int,), 1, "Most events of one POST, and most calls of one JSON-RPC batch."),
    "API_BATCH_SECONDS": Setting(
        10.0, _number, 0.1, "Seconds after which no further call of a JSON-RPC batch is begun; those left are told so."
    ),
    "API_MAX_WAIT": Setting(30.0, _number, 0, "Longest `wait` in seconds that a caller may ask for with a result."),
    "API_MAX_STREAMS": Setting(
        1000, (int,), 0, "Streams and waiting results that one web process serves at once under ASGI."
    ),
    "API_MAX_SYNC_STREAMS": Setting(4, (int,), 0, "The same under WSGI, where each holds a thread."),
    "API_MAX_USER_STREAMS": Setting(100, (int,), 0, "How many of these one user may have under ASGI."),
    "API_MAX_SYNC_USER_STREAMS": Setting(2, (int,), 0, "The same under WSGI."),
    "API_STREAM_SECONDS": Setting(
        300.0, _number, 1, "Seconds after which a stream ends; its reader comes back by itself and misses nothing."
    ),
    "API_STREAM_POLL": Setting(0.5, _number, 0.05, "Seconds between two looks of a stream at the database."),
    "API_SCOPE": Setting(
        "", (str,), None, "Dotted path of `scope(user, queryset)`, which narrows what a user of the HTTP API finds."
    ),
    "DEFINITION_ACTIONS": Setting(
        "",
        (str,),
        None,
        "Dotted path of `allowed(user, step)`, which says whose definitions may call which `@step`; without it whoever "
        "saves one needs the permission `call_step`.",
    ),
    "PUBLIC_URL": Setting(
        "http://localhost:8000/api",
        (str,),
        None,
        "Where the HTTP API is mounted, as others reach it: one-time links (`ctx.token`) begin with it.",
    ),
    "FEED_SETTLE": Setting(
        60.0, _number, 0, "Seconds after which the feed takes it that what happened at a moment has been committed."
    ),
    "REDACT": Setting(
        list(SECRET_KEYS),
        (list, tuple),
        None,
        "Keys whose values are neither shown nor logged, only stored: names, with * for any characters. Case, hyphens "
        "and underscores do not count. `[]` shows everything.",
    ),
}


def get(name: str) -> Any:
    """The value of a setting: the project's own or the default."""
    return getattr(settings, "WORKFLOWS", {}).get(name, DEFAULTS[name].default)


def is_set(name: str) -> bool:
    """Whether the project has given this setting a value."""
    return name in getattr(settings, "WORKFLOWS", {})


def database() -> str:
    """Alias of the database that holds the engine's tables."""
    return str(get("DATABASE"))


def eager() -> bool:
    """Whether `start()` drives executions in the caller's process."""
    return bool(get("EAGER"))


def default_queue() -> str:
    """Queue of workflows that name none."""
    return str(get("DEFAULT_QUEUE"))


def default_retry() -> dict[str, Any]:
    """Keyword arguments of `Retry` for steps without a policy."""
    return dict(get("DEFAULT_RETRY"))


def threads() -> int:
    """Slots for `def` workflows in one worker process."""
    return int(get("THREADS"))


def async_slots() -> int:
    """Slots for `async def` workflows in one worker process."""
    return int(get("ASYNC_SLOTS"))


def branch_threads() -> int:
    """Extra threads per worker process for parallel branches."""
    return int(get("BRANCH_THREADS"))


def processes() -> int:
    """Worker processes."""
    return int(get("PROCESSES"))


def lease() -> float:
    """Seconds until the executions of a lost worker are taken over."""
    return float(get("LEASE"))


def hang_timeout() -> float:
    """Seconds without a beat after which a worker process is killed."""
    return float(get("HANG_TIMEOUT"))


def grace() -> float:
    """Seconds that SIGTERM leaves to the steps in flight."""
    return float(get("GRACE"))


def poll_interval() -> float:
    """Longest time in seconds between two looks at the database, without LISTEN."""
    return float(get("POLL_INTERVAL"))


def listen() -> bool:
    """Whether LISTEN/NOTIFY is used where the database has it."""
    return bool(get("LISTEN"))


def listen_poll_interval() -> float:
    """Longest time in seconds between two looks at the database while LISTEN works."""
    return float(get("LISTEN_POLL_INTERVAL"))


def max_payload_bytes() -> int:
    """Largest JSON text of one value, in bytes."""
    return int(get("MAX_PAYLOAD_BYTES"))


def max_payload_depth() -> int:
    """Deepest nesting of one value."""
    return int(get("MAX_PAYLOAD_DEPTH"))


def max_steps() -> int:
    """Most journal rows of one execution and generation."""
    return int(get("MAX_STEPS"))


def max_depth() -> int:
    """Most levels of children below an execution."""
    return int(get("MAX_DEPTH"))


def event_window() -> float:
    """Seconds during which a known event id is a no-op."""
    return float(get("EVENT_WINDOW"))


def mismatch_releases() -> int:
    """Times an execution whose journal does not match the code is left to other workers before it is paused."""
    return 1 if is_reloading() and not is_set("MISMATCH_RELEASES") else int(get("MISMATCH_RELEASES"))


def mismatch_delay() -> float:
    """Seconds between two such releases."""
    return 1.0 if is_reloading() and not is_set("MISMATCH_DELAY") else float(get("MISMATCH_DELAY"))


def is_reloading() -> bool:
    """Whether this is `runworkflows --autoreload` of a project in DEBUG: nobody but its author has other code."""
    return settings.DEBUG and RELOADING in os.environ


def webhook_secrets(name: str) -> list[str]:
    """The secrets of this name, any of which will do; empty when there is none."""
    found = get("WEBHOOK_SECRETS").get(name)
    several = found if isinstance(found, list | tuple) else [found]
    return [secret for secret in several if isinstance(secret, str) and secret]


def webhook_max_body_bytes() -> int:
    """Largest body of a delivery."""
    return int(get("WEBHOOK_MAX_BODY_BYTES"))


def api_page_size() -> int:
    """Rows on a page of the HTTP API."""
    return min(int(get("API_PAGE_SIZE")), api_max_page_size())


def api_max_page_size() -> int:
    """Most rows on a page of the HTTP API."""
    return int(get("API_MAX_PAGE_SIZE"))


def api_max_page_bytes() -> int:
    """Bytes of stored values on a page of the HTTP API."""
    return int(get("API_MAX_PAGE_BYTES"))


def api_max_body_bytes() -> int:
    """Largest body of a request to the HTTP API."""
    return int(get("API_MAX_BODY_BYTES"))


def api_max_batch() -> int:
    """Most events or JSON-RPC calls in one request."""
    return int(get("API_MAX_BATCH"))


def api_batch_seconds() -> float:
    """Seconds after which no further call of a JSON-RPC batch is begun."""
    return float(get("API_BATCH_SECONDS"))


def api_max_wait() -> float:
    """Longest time in seconds that a request for a result may wait."""
    return float(get("API_MAX_WAIT"))


def api_max_streams() -> int:
    """Streams and waiting results of one web process under ASGI."""
    return int(get("API_MAX_STREAMS"))


def api_max_sync_streams() -> int:
    """Streams and waiting results of one web process under WSGI, where each holds a thread."""
    return int(get("API_MAX_SYNC_STREAMS"))


def api_max_user_streams() -> int:
    """How many of these one user may have under ASGI."""
    return int(get("API_MAX_USER_STREAMS"))


def api_max_sync_user_streams() -> int:
    """How many of these one user may have under WSGI."""
    return int(get("API_MAX_SYNC_USER_STREAMS"))


def api_stream_seconds() -> float:
    """Seconds after which a stream ends and its reader comes back."""
    return float(get("API_STREAM_SECONDS"))


def api_stream_poll() -> float:
    """Seconds between two looks of a stream at the database."""
    return float(get("API_STREAM_POLL"))


def api_scope() -> str:
    """Dotted path of the function that narrows what a user finds; empty for none."""
    return str(get("API_SCOPE"))


def definition_actions() -> str:
    """Dotted path of the function that says which steps a user's definitions may call; empty for none."""
    return str(get("DEFINITION_ACTIONS"))


def feed_settle() -> float:
    """Seconds after which the feed takes a moment for settled."""
    return float(get("FEED_SETTLE"))


def public_url() -> str:
    """Where the HTTP API is mounted, as others reach it."""
    return str(get("PUBLIC_URL"))


def redact() -> tuple[str, ...]:
    """Names and globs of the keys whose values are neither shown nor logged."""
    return tuple(get("REDACT"))
