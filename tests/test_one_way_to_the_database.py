"""Whatever is written goes through `engine.database`, where 40001 and lost answers are dealt with: by reading the code.

On CockroachDB any transaction may be told to begin again, and whoever opens one of his own passes that on to people.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import django_workflows

PACKAGE = Path(django_workflows.__file__).parent

HELPERS = {"transact", "single", "atomically", "reading", "repeated", "read", "write"}
WRITES = {"save", "create", "bulk_create", "bulk_update", "get_or_create", "update_or_create", "update", "delete"}
RAW = {"cursor", "atomic"}

# Where else a cursor or a transaction is opened, or a row written by the ORM, and why that may be.
REASONS = {
    "admin/definitions.py": "a savepoint in the transaction that Django's admin opens around each form",
    "admin/executions.py": "a person's deletion, in one transaction, told as an error to be asked for again",
    "admin/triggers.py": "a savepoint in the transaction that Django's admin opens around each form",
    "checks/databases.py": "asks the server for its settings",
    "checks/webhooks.py": "a read that may find no table",
    "client/commits.py": "the caller's own transaction",
    "clock.py": "asks for the time alone",
    "declarative/saving.py": "called by `transact`, at its end",
    "engine/database/transactions.py": "is the way",
    "engine/database/listen.py": "LISTEN, on PostgreSQL alone",
    "engine/verbs/retry.py": "a savepoint in a transaction of `transact`",
    "engine/worker/workflow_rows.py": "called by `repeated`",
    "engine/events/take.py": "called by `transact`",
    "engine/database/user_transactions.py": "asks whether a connection answers",
    "engine/verbs/apply.py": "a savepoint in a transaction of `transact`",
    "engine/database/notify.py": "NOTIFY, on PostgreSQL alone",
    "engine/worker/process.py": "called by `repeated`",
    "management/commands/publishevents.py": "a batch in one transaction, which the command reads again from its file",
    "models/triggers.py": "the model's own `save()`",
    "operations.py": "the caller's own transaction",
    "triggers/dispatch.py": "a savepoint in a transaction of `transact`",
    "triggers/syncing.py": "called by `repeated`",
    "triggers/breaking.py": "called in the transaction of `transact` that has locked the schedule",
    "triggers/starting.py": "called in a transaction of `transact`",
    "triggers/schedule_starts.py": "a savepoint in a transaction of `transact`",
}


def findings() -> Iterator[tuple[str, int, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(("migrations/", "testing/", "inspection/")):
            yield from ((name, line, what) for line, what in in_code(ast.parse(path.read_text())))


def in_code(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What goes to the database by itself, and by which line."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HELPERS:
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_about_rows(node.func):
            yield node.lineno, node.func.attr
        yield from in_code(node)


def is_about_rows(method: ast.Attribute) -> bool:
    receiver = ast.unparse(method.value)
    if method.attr in RAW:
        return "connection" in receiver or receiver in {"transaction", "cursor.db"}
    is_query = ".objects" in receiver or ".using(" in receiver or receiver.endswith((".filter()", "rows"))
    return method.attr in WRITES and (is_query or (method.attr == "save" and receiver != "definitions"))


def test_everybody_goes_the_same_way() -> None:
    strays = [f"{name}:{line} calls {what}()" for name, line, what in findings() if name not in REASONS]
    assert not strays, "use engine.database (transact, single, reading, repeated), or give the reason:\n" + "\n".join(
        strays
    )


def test_no_reason_is_left_over() -> None:
    assert REASONS.keys() == REASONS.keys() & {name for name, *_ in findings()}


def test_a_stray_is_found() -> None:
    code = """
def f(alias):
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        Trigger.objects.using(alias).bulk_create([])
    row.save()
    repeated(alias, lambda _: row.save())
"""
    assert sorted(what for _, what in in_code(ast.parse(code))) == ["atomic", "bulk_create", "cursor", "save"]
