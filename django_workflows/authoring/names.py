"""What may be a name: of a workflow, step, signal, event, queue or key."""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from collections.abc import Collection, Iterable

from django_workflows.exceptions import DefinitionError, InvalidInput

NAME_LENGTH = 200
KEY_LENGTH = 255
MOST_NAMES = 20  # that an error lists

# What triggers start, and webhooks publish, has keys that begin like this. Whoever took one beforehand would swallow a
# tick or a delivery.
ENGINE_KEYS = ("schedule:", "webhook:", "trigger:", "fire:")


def problem_with(text: object, limit: int = NAME_LENGTH) -> str | None:
    """Why `text` cannot be a name of at most `limit` characters, or None when it can."""
    if not isinstance(text, str):
        return f"must be text, not {type(text).__name__}."
    if not text.strip():
        return "must not be empty."
    if len(text) > limit:
        return f"must have at most {limit} characters, not {len(text)}."
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        return "must not contain control characters or lone surrogates."
    return None


def numbered_key(key: str, number: int) -> str:
    """The key of one of several things under one key; a long one is hashed, so that two which differ never meet."""
    found = f"{key}#{number}"
    if len(found) <= KEY_LENGTH:
        return found
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}#{number}"


def check_definition_name(what: str, text: str) -> str:
    """`text`, or `DefinitionError` when it cannot name a `what`."""
    if (problem := problem_with(text)) is not None:
        raise DefinitionError(f"The name of a {what} {problem} Give it a proper name: name='…'.")
    return text


def check_input_name(field: str, text: str, limit: int = NAME_LENGTH) -> str:
    """`text`, or `InvalidInput` for `field`."""
    if (problem := problem_with(text, limit)) is not None:
        raise InvalidInput({field: [problem]})
    return text


def problem_with_key(key: object) -> str | None:
    """Why a caller cannot have this idempotency key, or event id; None when he can."""
    if (problem := problem_with(key, KEY_LENGTH)) is not None:
        return problem
    taken = next((start for start in ENGINE_KEYS if str(key).startswith(start)), None)
    return None if taken is None else f'must not begin with "{taken}": such keys are the engine\'s own.'


def check_callers_key(field: str, key: str) -> str:
    """`key`, or `InvalidInput` for `field` when a caller cannot have it."""
    if (problem := problem_with_key(key)) is not None:
        raise InvalidInput({field: [problem]})
    return key


def known_as(name: object, known: Collection[str]) -> str:
    """What a name may have been meant for, for a message: the nearest one, else all there are."""
    given = str(name)
    if close := difflib.get_close_matches(given, known, n=3):
        # "retries" is as near to "triggers" as to "retry": who begins alike is meant
        nearest = max(close, key=lambda one: one[:4] == given[:4])
        return f"Did you mean {nearest!r}?"
    some = sorted(known)[:MOST_NAMES]
    more = len(known) - len(some)
    return f"Known: {', '.join(some) or 'none'}{f' and {more} more' if more else ''}."


def check_keywords(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raises `DefinitionError` for options that there are none of."""
    if unknown := sorted(set(given) - set(known)):
        advice = " ".join(dict.fromkeys(known_as(name, known) for name in unknown))
        raise DefinitionError(f"Unknown {what}: {', '.join(unknown)}. {advice}")
