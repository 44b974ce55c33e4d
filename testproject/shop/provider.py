"""The client of the payment provider: two calls over HTTP, and errors that say whether trying again can help.

Each call carries an idempotency key. The provider may have done its work although no answer came back; asking again
with the same key then gives the first answer and moves no money.
"""

from __future__ import annotations

import json
from decimal import Decimal
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from django_workflows import NonRetryable
from testproject.shop import conf


class ProviderUnavailable(Exception):
    """No answer, or one without meaning: whether money has moved is unknown. Ask again with the same key."""


class ProviderRefused(NonRetryable):
    """The provider did not accept the request, and never will."""


class CardDeclined(ProviderRefused):
    """The customer's bank said no."""


def charge(order: str, amount: Decimal, *, idempotency_key: str) -> str:
    """Take the money for an order; returns the id of the charge."""
    return _id(_post("/charges", {"order": order, "amount": str(amount), "currency": "EUR"}, idempotency_key))


def refund(charge_id: str, *, idempotency_key: str) -> str:
    """Give the money of a charge back; returns the id of the refund."""
    return _id(_post("/refunds", {"charge": charge_id}, idempotency_key))


def _id(answer: Any) -> str:
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
        raise ProviderUnavailable(f"The provider's answer has no id: {answer!r}")
    return str(answer["id"])


def _post(path: str, payload: dict[str, str], idempotency_key: str) -> Any:
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    request = Request(conf.payment_url() + path, json.dumps(payload).encode(), headers)
    try:
        with urlopen(request, timeout=conf.payment_timeout()) as response:  # nosec B310  # an address of the settings
            return json.load(response)
    except HTTPError as error:
        with error:
            raise _meaning_of(error) from None
    except (OSError, HTTPException, ValueError) as error:  # unreachable, too late, cut off, or not JSON
        raise ProviderUnavailable(f"{type(error).__name__}: {error}") from error


def _meaning_of(error: HTTPError) -> Exception:
    text = error.read().decode(errors="replace").strip()
    if error.code == 402:
        return CardDeclined(text)
    if 400 <= error.code < 500 and error.code not in {408, 429}:
        return ProviderRefused(f"{error.code}: {text}")
    return ProviderUnavailable(f"{error.code}: {text}")
