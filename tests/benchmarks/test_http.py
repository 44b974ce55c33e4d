"""Clients of the HTTP API, and what is made of their times."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from benchmarks import caller
from benchmarks.caller import Called, Calls
from benchmarks.ours.http import figures_of


class Handler(BaseHTTPRequestHandler):
    """Accepts one kind of event."""

    protocol_version = "HTTP/1.1"
    peers: set[Any] = set()

    def do_POST(self) -> None:
        self.peers.add(self.client_address)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = b'{"detail": "No."}'
        self.send_response(201 if body["name"] == "good" else 403)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(Handler, "peers", set())
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def called(port: int, monkeypatch: pytest.MonkeyPatch, **body: Any) -> Called:
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\n"))
    return caller.main(Calls(port=port, path="/", body=json.dumps(body), authorization="", count=5, warm_up=2))


def test_a_client_tells_the_time_of_each_call_over_one_connection(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = called(port, monkeypatch, name="good")
    assert (len(found.milliseconds), found.refused) == (5, "")
    assert sum(found.milliseconds) == pytest.approx((found.ended - found.began) * 1000)
    assert len(Handler.peers) == 1
    assert capsys.readouterr().out == "ready\n"


def test_a_client_tells_the_answer_that_was_not_wanted(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(port, monkeypatch, name="bad").refused == '403 {"detail": "No."}'


def test_the_rate_counts_from_the_first_call_of_any_client_to_the_last_answer() -> None:
    early = Called(began=10.0, ended=11.0, milliseconds=[1.0] * 99)
    late = Called(began=10.5, ended=12.0, milliseconds=[9.0] * 101)
    assert figures_of([early, late]) == {"rate": 100.0, "p50": 9.0, "p99": 9.0}
