"""Answering a one-time link."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django_workflows import codec, conf
from django_workflows.client.commits import write
from django_workflows.engine.events.after_commit import announce
from django_workflows.engine.handlers.tokens import Answer
from django_workflows.exceptions import InvalidInput
from django_workflows.models import Execution


def answer_token(secret: str, value: Any) -> Execution:
    """Resume the execution that waits for this link (`ctx.token`), in the caller's transaction. Only once.

    The secret is the last part of the link's address; the whole address will do. Raises `UnknownToken`, `TokenSpent`,
    `PayloadError`, and `InvalidInput` for None, which is what the workflow gets when nobody answers.
    """
    secret = secret.rstrip("/").rpartition("/")[2]
    if value is None:
        raise InvalidInput({"": ["null is no answer: it is what the workflow gets when nobody answers."]})
    alias = conf.database()
    text = codec.encode(value, max_bytes=conf.max_payload_bytes(), max_depth=conf.max_payload_depth())
    answer = Answer(alias, uuid4(), secret, text)
    id, queue = write(alias, answer.give, answer.read_back, savepoint=True)
    announce(alias, [queue], executions=[id])
    return Execution.objects.using(alias).get(pk=id)
