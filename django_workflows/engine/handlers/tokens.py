"""One-time links: made by a workflow, answered by whoever has the address.

The journal holds a random number and the hash of the secret. The secret is derived from that number with the project's
`SECRET_KEY`, so a replay finds the same address, and nobody finds it in the database. An answer is a message in the
inbox of the execution, addressed to the link's place in the journal, as an event's delivery is addressed to its wait.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.utils.crypto import salted_hmac

from django_workflows import conf
from django_workflows.authoring import commands
from django_workflows.engine.database.dialects import dialect_of, read_uuid, store
from django_workflows.engine.database.transactions import reading
from django_workflows.engine.handlers.steps import Procedure
from django_workflows.engine.handlers.waits import deadline_of, receive
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.effects import Deliver, MessageWait
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import ContextMisuse, TokenSpent, UnknownToken

_SALT = "django_workflows.engine.handlers.tokens"
MOST_CHARACTERS = 200  # of what is looked up as a secret

FIND = """
SELECT id, execution_id, generation, key FROM django_workflows_stepresult WHERE kind = 'token' AND match_hash = %s
"""

# It locks the execution, so whoever answers second sees the first answer, and a timeout comes before or after.
RECEIVE = """
UPDATE django_workflows_execution SET
    inbox = inbox + 1, wake_at = CASE WHEN status = 'waiting' THEN {now} ELSE wake_at END
WHERE id = %s AND generation = %s AND completed_at IS NULL
RETURNING inbox, queue
"""

STILL_OPEN = """
SELECT 1 FROM django_workflows_stepresult s
WHERE s.id = %s AND s.status = 'scheduled' AND s.superseded = 0 AND (s.deadline IS NULL OR s.deadline > {now})
AND NOT EXISTS (
    SELECT 1 FROM django_workflows_signal g WHERE g.execution_id = s.execution_id AND g.step_key = s.key AND g.name = %s
)
"""

ANSWER = """
INSERT INTO django_workflows_signal (id, execution_id, number, name, data, step_key, created_at)
VALUES (%s, %s, %s, %s, %s, %s, {now})
"""

ANSWERED = """
SELECT e.id, e.queue FROM django_workflows_signal g JOIN django_workflows_execution e ON e.id = g.execution_id
WHERE g.id = %s
"""


def open_token(turn: Turn, scope: str, key: str, command: commands.OpenToken, entry: Entry | None) -> Procedure:
    """Make a link, or find the one that was made; where it stands in the journal, and its address."""
    yield from ()
    if entry is None:
        nonce = secrets.token_hex(16)
        secret = _secret(nonce, settings.SECRET_KEY)
        entry = turn.record(
            turn.new_entry(
                key,
                command.kind,
                command.name,
                deadline=deadline_of(turn, command.timeout),
                match_keys=nonce,  # a column that a replay loads
                match_hash=hash_of(secret),
            )
        )
    else:
        secret = _found_again(turn, entry)
    turn.secrets.add(secret)
    return key, f"{conf.public_url().rstrip('/')}/tokens/{secret}"


def wait_for_token(turn: Turn, command: commands.WaitForToken) -> Procedure:
    """The body that was posted, or None when the link's time is over."""
    entry = turn.journal.get(command.key)
    if entry is None or entry.kind != commands.OpenToken.kind:
        raise ContextMisuse("This link belongs to an earlier iteration or generation; make another by ctx.token().")
    if not entry.is_final:
        wait = MessageWait(entry.key, entry.deadline, _message(entry.match_hash), True)
        entry = yield from receive(turn, entry, wait)
    yield Deliver(entry.seq)
    return None if entry.output is None else turn.read(entry.output)["data"]


def hash_of(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _secret(nonce: str, key: str | bytes) -> str:
    digest = salted_hmac(_SALT, nonce, secret=key, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _found_again(turn: Turn, entry: Entry) -> str:
    """The secret of a link that was made before, also when the project's key has changed since."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    known = (_secret(entry.match_keys, key) for key in keys)
    found = next((secret for secret in known if hmac.compare_digest(hash_of(secret), entry.match_hash)), None)
    if found is None:
        turn.park(
            f"The link {entry.name!r} was made with another SECRET_KEY, so its address cannot be told again. Put the "
            "old key into SECRET_KEY_FALLBACKS and resume."
        )
    return found


def _message(hash: str) -> str:
    """The name of the answer in the inbox: of this link, and of no other at the same place."""
    return f"token {hash[:32]}"


class Answer:
    """One answer on its way; its id is chosen here, so that a commit in doubt can be read back."""

    def __init__(self, alias: str, id: UUID, secret: str, text: str) -> None:
        self._alias, self._id, self._text = alias, id, text
        self._hash = hash_of(secret) if len(secret) <= MOST_CHARACTERS else ""
        self._dialect = dialect_of(connections[alias])

    def give(self, cursor: CursorWrapper) -> tuple[UUID, str]:
        """The execution that gets it, and its queue. Raises `UnknownToken` and `TokenSpent`."""
        cursor.execute(FIND, [self._hash])
        if (row := cursor.fetchone()) is None:
            raise UnknownToken("No link has this address. Look whether it was copied as a whole.")
        step_id, execution_id, generation, key = row
        now = self._dialect.now()
        cursor.execute(RECEIVE.format(now=now), [execution_id, generation])
        received: Sequence[object] | None = cursor.fetchone()
        cursor.execute(STILL_OPEN.format(now=now), [step_id, _message(self._hash)])
        if received is None or cursor.fetchone() is None:
            raise TokenSpent("This link was used already, its time is over, or nobody waits for it any more.")
        number, queue = received
        own = [store(self._dialect, self._id), execution_id, number, _message(self._hash), self._text, key]
        cursor.execute(ANSWER.format(now=now), own)
        return read_uuid(execution_id), str(queue)

    def read_back(self) -> tuple[UUID, str] | None:
        """What a commit in doubt has stored, or None."""

        def ask(cursor: CursorWrapper) -> Any:
            cursor.execute(ANSWERED, [store(self._dialect, self._id)])
            return cursor.fetchone()

        row = reading(self._alias, ask)
        return None if row is None else (read_uuid(row[0]), str(row[1]))
