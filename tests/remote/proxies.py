"""A proxy between client and server that loses answers: the request is carried out, and nobody hears of it."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Proxy(ThreadingHTTPServer):
    """`losing` is the number of answers still to be lost, `seen` the paths and bodies of all requests."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.losing = 0
        self.instead: int | None = None  # a status that is answered instead of losing the answer
        self.seen: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{self.target.path}"


class Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.path, body))
        status, answer, kind = self.forward(body)
        if self.server.losing:
            self.server.losing -= 1
            if self.server.instead is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, answer, kind = self.server.instead, b"<html>Bad gateway</html>", "text/html"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def forward(self, body: bytes) -> tuple[int, bytes, str]:
        target = http.client.HTTPConnection(str(self.server.target.hostname), self.server.target.port, timeout=30)
        names = ("Authorization", "Content-Type", "Accept")
        headers = {name: value for name in names if (value := self.headers.get(name))}
        try:
            target.request(self.command, self.path, body or None, headers)
            answer = target.getresponse()
            return answer.status, answer.read(), answer.getheader("Content-Type") or ""
        finally:
            target.close()

    def log_message(self, format: str, *args: object) -> None:
        """`seen` is the log."""


@contextmanager
def losing_proxy(target: str) -> Iterator[Proxy]:
    with Proxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
