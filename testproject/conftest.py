"""What the tests of the example apps share: a payment provider that each of them starts with the faults it wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from testproject.provider.faults import Faults
from testproject.provider.server import Provider
from tests.conftest import django_db_modify_db_settings

__all__ = ["django_db_modify_db_settings"]  # a file on SQLite, whichever test comes first: threads cannot share memory

StartProvider = Callable[[Faults], Provider]


@pytest.fixture
def start_provider(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartProvider]:
    """Start a payment provider with these faults, which the shop then uses; it ends with the test."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    settings.SHOP_PAYMENT_TIMEOUT = 5
    with ExitStack() as stack:

        def start(faults: Faults) -> Provider:
            provider = stack.enter_context(Provider(tmp_path / "ledger.sqlite3", faults=faults))
            thread = threading.Thread(target=provider.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(provider.shutdown)
            settings.SHOP_PAYMENT_URL = provider.url
            return provider

        yield start


@pytest.fixture
def provider(start_provider: StartProvider) -> Provider:
    """A payment provider without faults."""
    return start_provider(Faults())
