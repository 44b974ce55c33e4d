"""The registrar's HTTP face: PUT /records, GET /lookup, POST /certificates, GET /certificates/{id}, GET /counts."""

from __future__ import annotations

import json
import math
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testproject.registrar.zone import Zone

LARGEST_BODY = 16 * 1024
TYPES = ("A", "AAAA", "CNAME", "TXT")


class Refused(Exception):
    """The request gets this status and message, and nothing is done."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        self.status, self.message, self.headers = status, message, headers
        super().__init__(message)


class Registrar(ThreadingHTTPServer):
    """Listens on this machine only; port 0 takes a free one, see `url`."""

    daemon_threads = True

    def __init__(self, zone: Path, *, port: int = 0, spread_seconds: float = 5.0, per_second: float = 2.0) -> None:
        self.zone = Zone(zone, spread_seconds=spread_seconds, per_second=per_second)
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def server_close(self) -> None:
        super().server_close()
        self.zone.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the game: no traceback for it."""


class Handler(BaseHTTPRequestHandler):
    server: Registrar
    timeout = 30

    def do_GET(self) -> None:
        self.handle_call(self.read)

    def do_PUT(self) -> None:
        self.handle_call(self.put_record)

    def do_POST(self) -> None:
        self.handle_call(self.order_certificate)

    def handle_call(self, call: Any) -> None:
        try:
            self.answer(200, call())
        except Refused as refusal:
            self.answer(refusal.status, {"error": refusal.message}, **refusal.headers)

    def read(self) -> dict[str, Any]:
        address = urlsplit(self.path)
        if address.path == "/counts":
            return dict(self.server.zone.counts())
        if address.path == "/lookup":
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            return {"value": self.server.zone.look_up(query.get("name", ""), query.get("type", ""))}
        status = self.server.zone.status(address.path.removeprefix("/certificates/"))
        if status is None:
            raise Refused(404, "There is no such certificate.")
        return {"status": status}

    def put_record(self) -> dict[str, Any]:
        body = self.body("name", "type", "value")
        if self.path != "/records" or body["type"] not in TYPES:
            raise Refused(400, f"PUT /records with a type of {', '.join(TYPES)}.")
        self.limit()
        self.server.zone.set(body["name"], body["type"], body["value"])
        return body

    def order_certificate(self) -> dict[str, Any]:
        body, key = self.body("domain"), self.headers.get("Idempotency-Key", "")
        if self.path != "/certificates" or not key:
            raise Refused(400, "POST /certificates with an Idempotency-Key.")
        self.limit()
        return dict(self.server.zone.order(key, body["domain"]))

    def limit(self) -> None:
        """Whoever comes too soon is told when to come again."""
        if (wait := self.server.zone.seconds_to_wait()) > 0:
            raise Refused(429, "Not so fast.", **{"Retry-After": str(math.ceil(wait))})

    def body(self, *names: str) -> dict[str, str]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            raise Refused(413, f"Send a body of at most {LARGEST_BODY} bytes with its Content-Length.")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            body = None
        if not isinstance(body, dict) or not all(isinstance(body.get(name), str) and body[name] for name in names):
            raise Refused(400, f"The body must be a JSON object with: {', '.join(names)}.")
        return {name: body[name] for name in names}

    def answer(self, status: int, body: dict[str, Any], **headers: str) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """The counts are the log."""
