"""The provider's HTTP face: POST /charges, POST /refunds, GET /ledger."""

from __future__ import annotations

import json
import socket
import threading
from decimal import Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from testproject.provider.faults import Faults
from testproject.provider.ledger import KeyReused, Ledger

CARD_LIMIT = Decimal(20_000)
LARGEST_BODY = 64 * 1024


class Refused(Exception):
    """The request gets this status and message, and nothing is done."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(message)


class Provider(ThreadingHTTPServer):
    """Listens on this machine only; port 0 takes a free one, see `url`."""

    daemon_threads = True
    request_queue_size = 256  # many workers knock at once

    def __init__(self, ledger: Path, *, port: int = 0, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.closing = threading.Event()
        self.ledger = Ledger(ledger)
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def server_close(self) -> None:
        self.closing.set()
        super().server_close()
        self.ledger.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the game: no traceback for it."""


class Handler(BaseHTTPRequestHandler):
    server: Provider
    timeout = 30

    def do_GET(self) -> None:
        if self.path != "/ledger":
            return self.answer(404, {"error": "GET /ledger, POST /charges, POST /refunds"})
        return self.answer(200, self.server.ledger.counts())

    def do_POST(self) -> None:
        try:
            key, body = self.read()
            request = json.dumps([self.path, body], sort_keys=True)
            fault = self.server.faults.of(request, self.server.ledger.calls_with(key) + 1)
            self.server.ledger.note_call(key, self.path, fault)
            if fault == "fail":
                raise Refused(500, "Something went wrong on our side.")
            if fault == "hang":
                self.server.closing.wait(self.server.faults.hang_seconds)
            id = self.carry_out(key, request, body)
        except Refused as refusal:
            return self.answer(refusal.status, {"error": refusal.message})
        if fault == "drop":
            return self.hang_up()
        return self.answer(201, {"id": id})

    def read(self) -> tuple[str, dict[str, str]]:
        """The idempotency key and the body, a flat object of texts."""
        key, length = self.headers.get("Idempotency-Key", ""), self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            raise Refused(413, f"Send a body of at most {LARGEST_BODY} bytes with its Content-Length.")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            body = None
        if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
            raise Refused(400, "The body must be a JSON object of texts.")
        if not key:
            raise Refused(400, "The header Idempotency-Key is missing.")
        return key, body

    def carry_out(self, key: str, request: str, body: dict[str, str]) -> str:
        try:
            if self.path == "/charges":
                return self.server.ledger.charge(key, request, *self.charge(body))
            if self.path == "/refunds":
                return self.server.ledger.refund(key, request, self.refund(body))
        except KeyReused:
            raise Refused(422, f"The idempotency key {key} was used for another request.") from None
        raise Refused(404, "POST /charges or /refunds.")

    def charge(self, body: dict[str, str]) -> tuple[str, str]:
        try:
            amount = Decimal(body["amount"])
            order = body["order"]
        except (KeyError, InvalidOperation):
            raise Refused(400, "A charge needs an order and an amount.") from None
        if not amount.is_finite() or amount <= 0:
            raise Refused(400, "The amount must be more than 0.")
        if amount > CARD_LIMIT:
            raise Refused(402, "The card was declined.")
        return order, str(amount)

    def refund(self, body: dict[str, str]) -> str:
        charge = body.get("charge", "")
        if not self.server.ledger.has_charge(charge):
            raise Refused(404, f"There is no charge {charge!r}.")
        return charge

    def answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def hang_up(self) -> None:
        """Close the connection without an answer, as when a cable is pulled after the work is done."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """The ledger is the log."""
