"""Those who look at new domains, as the demo plays them: they read their mail and answer the links in it, once each."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from django_workflows import client, definitions
from django_workflows.models import Execution
from testproject import domains
from testproject.demo.settings import EMAIL_FILE_PATH
from testproject.domains.models import Domain
from testproject.domains.orders import order

DOMAINS = {"shop.example": "192.0.2.10", "status.example": "192.0.2.11", "malware.example": "192.0.2.66"}
MOVED_TO = "192.0.2.99"
DEFINITION = Path(domains.__file__).with_name("definitions") / "move_domain.json"
MOVE = "move_domain_as_data"
LINK = re.compile(r"Is (\S+) one of ours.*?http://[^/]+(/api/tokens/[\w-]+)", re.DOTALL)
TIMEOUT, WRITTEN_SECONDS = 5.0, 10.0


def begin() -> Iterator[str]:
    """Customers bring domains; and a workflow is described as data."""
    new = [name for name in DOMAINS if not Domain.objects.filter(name=name).exists()]
    for name in new:
        order(name, DOMAINS[name])
    yield f"{len(new)} domains are ordered: each waits for somebody to answer the link in a mail."
    saved = definitions.save(json.loads(DEFINITION.read_text()))
    yield f"manage.py workflows define {DEFINITION.name}: {saved.workflow.name}, version {saved.version.version}."


class Inspectors:
    """Answer to the web server; `act()` is called every few seconds."""

    def __init__(self, web: str) -> None:
        self.web = web
        self.read: set[Path] = set()

    def act(self) -> Iterator[str]:
        try:
            yield from self.answer_mails()
        except (OSError, HTTPException) as error:
            yield f"The inspectors could not answer: {error}"
        yield from self.move_one()

    def answer_mails(self) -> Iterator[str]:
        for mail in sorted(set(EMAIL_FILE_PATH.glob("*.log")) - self.read):
            if (found := LINK.search(mail.read_text())) is not None:
                name, path = found.groups()
                approves = not name.startswith("malware")
                if (status := self.post(path, {"ok": approves})) == 202:
                    yield f"{name} is {'approved' if approves else 'refused'} by the link in the mail (202)."
                    yield f"Answered again: {self.post(path, {'ok': True})} (410: a link works once)."
                if status < 500:
                    self.read.add(mail)
            elif mail.stat().st_mtime < time.time() - WRITTEN_SECONDS:
                self.read.add(mail)  # it is about something else

    def move_one(self) -> Iterator[str]:
        """By the workflow that is data."""
        active = Domain.objects.filter(status=Domain.Status.ACTIVE).first()
        moves = Execution.objects.filter(workflow=MOVE)
        if active is not None and not moves.exists():
            client.using(MOVE, key=active.name).start(name=active.name, address=MOVED_TO, pause="8 seconds")
            yield f"{active.name} moves to {MOVED_TO}, by the definition {DEFINITION.name}."
        for move in moves.filter(status="waiting", current_step="domain.confirmed"):
            client.send_event("domain.confirmed", {"name": move.key, "by": "the demo"}, id=f"confirmed-{move.id}")
            yield f"The move of {move.key} is confirmed by an event."

    def post(self, path: str, answer: dict[str, bool]) -> int:
        connection = HTTPConnection(self.web, timeout=TIMEOUT)
        try:
            connection.request("POST", path, json.dumps(answer), {"Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()
