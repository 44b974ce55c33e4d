"""Which processes the demo consists of, and how each is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from testproject.demo.children import Child, free_port

FAULTS = ("--fail", "0.1", "--hang", "0.05", "--drop", "0.1", "--hang-seconds", "8")
LEDGER, ZONE = "ledger.sqlite3", "zone.sqlite3"


class Cast:
    """The provider, the workers and the web server, with the addresses at which they are found."""

    def __init__(self, folder: Path, *, web_port: int, provider_port: int) -> None:
        self.folder = folder
        self.provider_port = free_port(provider_port)
        self.registrar_port = free_port(self.provider_port + 1)
        self.web = f"127.0.0.1:{free_port(web_port)}"
        self.workers = self.child("workers", self.manage("runworkflows"), patience=35)
        self.children = [
            self.child("provider", self.provider_command(), patience=5),
            self.child("registrar", self.registrar_command(), patience=5),
            self.workers,
            self.child("web server", self.manage("runserver", "--noreload", self.web), patience=5),
        ]

    @property
    def provider(self) -> str:
        return f"http://127.0.0.1:{self.provider_port}"

    @property
    def registrar(self) -> str:
        return f"http://127.0.0.1:{self.registrar_port}"

    def child(self, name: str, command: Sequence[str], *, patience: float) -> Child:
        environment = os.environ | {
            "DEMO_FOLDER": str(self.folder),
            "DEMO_PAYMENT_URL": self.provider,
            "DEMO_REGISTRAR_URL": self.registrar,
            "DEMO_PUBLIC_URL": f"http://{self.web}/api",
            "PYTHONPATH": str(settings.BASE_DIR),
            "PYTHONUNBUFFERED": "1",
        }
        log = self.folder / f"{name.replace(' ', '-')}.log"
        return Child(name=f"The {name}", command=command, environment=environment, log=log, patience=patience)

    def manage(self, *arguments: str) -> Sequence[str]:
        return [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]

    def provider_command(self) -> Sequence[str]:
        ledger = str(self.folder / LEDGER)
        port = str(self.provider_port)
        return [sys.executable, "-m", "testproject.provider", "--port", port, "--ledger", ledger, *FAULTS]

    def registrar_command(self) -> Sequence[str]:
        zone = str(self.folder / ZONE)
        return [sys.executable, "-m", "testproject.registrar", "--port", str(self.registrar_port), "--zone", zone]
