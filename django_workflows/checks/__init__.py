"""System checks: what is wrong is told before the first execution meets it. Importing this registers them.

| id | |
|---|---|
| E001 | `WORKFLOWS` is not a dict |
| E002 | a setting has the wrong type |
| E003 | a setting is out of its range |
| E004 | `DEFAULT_RETRY` is no retry policy |
| E005 | two workflows or steps have one name |
| E006 | `DATABASE` names no database of the project |
| E007 | the engine does not run on this kind of database |
| E008 | several worker processes on SQLite |
| E009 | `USE_TZ` is off |
| E010 | the database's driver, or SQLite's library, is too old |
| E011 | an entry of `WEBHOOK_SECRETS` is neither a text nor a list of texts |
| E012 | a webhook needs a package that is not installed |
| E013 | `API_SCOPE` names no function |
| E014 | two workflows declare a webhook of one path |
| E015 | `DEFINITION_ACTIONS` names no function |
| E016 | SQLite: the database has a `TIME_ZONE` of its own |
| E017 | the database does not store text as UTF-8 (with `--database`) |
| W001 | an unknown setting |
| W002 | SQLite: transactions begin without the write lock |
| W003 | SQLite: readers and the writer exclude each other (no WAL) |
| W004 | SQLite: nobody waits for a lock |
| W005 | SQLite: the database is in memory |
| W006 | the workers may need more connections than the server has (with `--database`) |
| W007 | SQLite: WAL was asked for and is not in force (with `--database`) |
| W008 | a webhook has no secret, so it refuses everything (those made by operators with `--database`) |
| W009 | a webhook that anybody may call (with `--deploy`; those made by operators with `--database` too) |
| W010 | a webhook's secret is short (likewise) |
| W011 | the HTTP API knows no way to log in (with `--deploy`) |
| W012 | the HTTP API takes secrets over plain HTTP (with `--deploy`) |
| W013 | other sites may call the HTTP API in a user's name (with `--deploy`) |
| W014 | nothing limits how often the HTTP API is called (with `--deploy`) |
| W015 | a limit of the HTTP API is so large that it is none (with `--deploy`) |
| W016 | one-time links do not lead here over TLS (with `--deploy`) |
| W017 | `REDACT` is empty, so passwords and tokens are shown and logged (with `--deploy`) |
"""

from django_workflows.checks.api import check_api, check_open_api
from django_workflows.checks.databases import check_database, check_server
from django_workflows.checks.links import check_public_url
from django_workflows.checks.names import check_names
from django_workflows.checks.settings import check_redaction, check_settings
from django_workflows.checks.triggers import check_paths
from django_workflows.checks.webhooks import (
    check_open_stored_webhooks,
    check_open_webhooks,
    check_stored_webhooks,
    check_webhooks,
)

__all__ = [
    "check_api",
    "check_database",
    "check_names",
    "check_open_api",
    "check_open_stored_webhooks",
    "check_open_webhooks",
    "check_paths",
    "check_public_url",
    "check_redaction",
    "check_server",
    "check_settings",
    "check_stored_webhooks",
    "check_webhooks",
]
