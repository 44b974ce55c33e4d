"""GitHub, as the demo plays it: it signs what it delivers, and delivers again what it has had no answer to."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from uuid import uuid4

from django_workflows import conf
from testproject import github

SAMPLES = Path(github.__file__).with_name("samples")
PATH = "/api/webhooks/github"
TIMEOUT = 5.0


class GitHub:
    """Delivers to the web server; `act()` is called every few seconds."""

    def __init__(self, web: str) -> None:
        self.web = web
        self.acts = 0

    def act(self) -> Iterator[str]:
        self.acts += 1
        if self.acts % 6 != 2:
            return
        try:
            yield from self.deliver_some()
        except (OSError, HTTPException) as error:
            yield f"GitHub could not deliver: {error}"

    def deliver_some(self) -> Iterator[str]:
        for event in ("issues", "check_run"):
            body, id = (SAMPLES / f"{event}.json").read_bytes(), str(uuid4())
            yield f"GitHub delivers {event}: {self.deliver(event, body, id)} (202: started)."
            yield f"GitHub delivers it again: {self.deliver(event, body, id)} (200: known, nothing started)."
        refused = self.deliver("issues", body, id, secret="guessed")  # nosec B106  # by somebody who does not know it
        yield f"Somebody else tries it: {refused} (401: wrong signature)."

    def deliver(self, event: str, body: bytes, id: str, *, secret: str = "") -> int:
        """Post a body; returns the status of the answer."""
        key = secret or conf.webhook_secrets("GITHUB")[0]
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": id,
            "X-Hub-Signature-256": "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest(),
        }
        connection = HTTPConnection(self.web, timeout=TIMEOUT)
        try:
            connection.request("POST", PATH, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()
