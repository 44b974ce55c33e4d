"""The client of the registrar: what its answers mean for whoever asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from django_workflows import NonRetryable, RetryAfter
from testproject.domains import conf


class RegistrarUnavailable(Exception):
    """No answer, or one without meaning. All calls may be repeated."""


class RegistrarRefused(NonRetryable):
    """The registrar did not accept the request, and never will."""


@dataclass(frozen=True, slots=True)
class CertificateOrder:
    """A certificate is issued once the world sees `challenge` as a TXT record under `challenge_name`."""

    id: str
    challenge_name: str
    challenge: str


def set_record(name: str, type: str, value: str) -> None:
    _call("PUT", "/records", {"name": name, "type": type, "value": value})


def look_up(name: str, type: str) -> str:
    """What the world sees; empty while there is nothing to see."""
    return str(_call("GET", f"/lookup?{urlencode({'name': name, 'type': type})}")["value"])


def order_certificate(domain: str, *, idempotency_key: str) -> CertificateOrder:
    return CertificateOrder(**_call("POST", "/certificates", {"domain": domain}, {"Idempotency-Key": idempotency_key}))


def certificate_status(id: str) -> str:
    """pending or issued."""
    return str(_call("GET", f"/certificates/{id}")["status"])


def _call(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = Request(conf.registrar_url() + path, data, headers, method=method)
    try:
        with urlopen(request, timeout=conf.registrar_timeout()) as response:  # nosec B310  # an address of the settings
            return json.load(response)
    except HTTPError as error:
        with error:
            raise _meaning_of(error) from None
    except (OSError, HTTPException, ValueError) as error:  # unreachable, too late, cut off, or not JSON
        raise RegistrarUnavailable(f"{type(error).__name__}: {error}") from error


def _meaning_of(error: HTTPError) -> Exception:
    text = error.read().decode(errors="replace").strip()
    if error.code == 429:  # the registrar says when to come again, and knows better than any policy of ours
        return RetryAfter(timedelta(seconds=float(error.headers.get("Retry-After", "60"))), text)
    return RegistrarRefused(f"{error.code}: {text}") if error.code < 500 else RegistrarUnavailable(text)
