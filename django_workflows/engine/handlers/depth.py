"""How deep an execution stands below others: a child that starts itself must come to an end."""

from __future__ import annotations

from functools import partial

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows import conf
from django_workflows.engine.database.dialects import dialect_of, store
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.handlers.steps import Procedure
from django_workflows.engine.turn.effects import Query
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import LimitExceeded

# The ORM knows no recursion. It is a walk along the primary key, and ends at the limit.
ANCESTORS = """
WITH RECURSIVE above (id, parent_id, depth) AS (
    SELECT id, parent_id, 1 FROM django_workflows_execution WHERE id = %s
    UNION ALL
    SELECT e.id, e.parent_id, a.depth + 1 FROM above a JOIN django_workflows_execution e ON e.id = a.parent_id
    WHERE a.depth < %s
)
SELECT max(depth) FROM above
"""


def check_depth(turn: Turn) -> Procedure:
    """Raises `LimitExceeded` where a child would stand too deep.

    Asked once in a turn, before its first new child, and only of an execution that is a child itself.
    """
    if turn.claimed.parent_id is None or turn.may_have_children:
        return
    most = conf.max_depth()
    depth = yield Query(partial(transact, turn.alias, partial(_ancestors, turn, most)))
    if depth >= most:
        raise LimitExceeded(
            f"This execution stands {most} levels below the one that began it, the most that WORKFLOWS['MAX_DEPTH'] "
            "allows, so it starts no child. Does the workflow start itself without an end? A loop is ctx.loop() or "
            "ctx.continue_as_new()."
        )
    turn.may_have_children = True


def _ancestors(turn: Turn, most: int, cursor: CursorWrapper) -> int:
    parent = turn.claimed.parent_id
    assert parent is not None
    cursor.execute(ANCESTORS, [store(dialect_of(connections[turn.alias]), parent), most])
    row = cursor.fetchone()
    return 1 if row is None or row[0] is None else int(row[0])  # a parent's row may have been deleted
