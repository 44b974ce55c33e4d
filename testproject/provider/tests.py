"""The payment provider: it charges once per idempotency key, whatever goes wrong on purpose."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from testproject.conftest import StartProvider
from testproject.provider.faults import Faults
from testproject.provider.server import Provider
from testproject.shop.provider import CardDeclined, ProviderRefused, ProviderUnavailable, charge, refund

AMOUNT = Decimal("480.00")


def post(provider: Provider, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(provider.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_charge_asked_for_twice_with_one_key_is_made_once(provider: Provider) -> None:
    first = charge("10001", AMOUNT, idempotency_key="k1")
    assert charge("10001", AMOUNT, idempotency_key="k1") == first
    counts = provider.ledger.counts()
    assert (counts["calls"], counts["charges"], counts["repeated"], counts["duplicates"]) == (2, 1, 1, 0)


def test_an_order_charged_under_two_keys_is_a_duplicate(provider: Provider) -> None:
    charge("10001", AMOUNT, idempotency_key="k1")
    charge("10001", AMOUNT, idempotency_key="k2")
    assert provider.ledger.counts()["duplicates"] == 1


def test_a_refund_asked_for_twice_with_one_key_is_made_once(provider: Provider) -> None:
    charge_id = charge("10001", AMOUNT, idempotency_key="k1")
    assert refund(charge_id, idempotency_key="k2") == refund(charge_id, idempotency_key="k2")
    assert provider.ledger.counts()["refunds"] == 1


def test_a_failing_provider_has_done_nothing(start_provider: StartProvider) -> None:
    provider = start_provider(Faults(fail=1.0))
    with pytest.raises(ProviderUnavailable, match="500"):
        charge("10001", AMOUNT, idempotency_key="k1")
    assert provider.ledger.counts()["charges"] == 0


def test_a_dropped_connection_leaves_a_charge_behind(start_provider: StartProvider) -> None:
    provider = start_provider(Faults(drop=1.0))
    with pytest.raises(ProviderUnavailable):
        charge("10001", AMOUNT, idempotency_key="k1")
    assert provider.ledger.counts()["charges"] == 1


def test_a_client_gives_up_on_a_provider_that_hangs(start_provider: StartProvider, settings: Settings) -> None:
    start_provider(Faults(hang=1.0, hang_seconds=60))
    settings.SHOP_PAYMENT_TIMEOUT = 0.05
    with pytest.raises(ProviderUnavailable, match="timed out"):
        charge("10001", AMOUNT, idempotency_key="k1")


def test_nobody_listening_is_unavailable(settings: Settings, provider: Provider) -> None:
    provider.shutdown()
    provider.socket.close()
    with pytest.raises(ProviderUnavailable, match="refused"):
        charge("10001", AMOUNT, idempotency_key="k1")


def test_too_large_an_amount_is_declined_for_good(provider: Provider) -> None:
    with pytest.raises(CardDeclined, match="declined"):
        charge("10001", Decimal("20000.01"), idempotency_key="k1")


def test_a_key_cannot_be_used_for_another_charge(provider: Provider) -> None:
    charge("10001", AMOUNT, idempotency_key="k1")
    with pytest.raises(ProviderRefused, match="used for another request"):
        charge("10002", AMOUNT, idempotency_key="k1")


def test_an_unknown_charge_cannot_be_refunded(provider: Provider) -> None:
    with pytest.raises(ProviderRefused, match="404"):
        refund("ch_nothing", idempotency_key="k1")


@pytest.mark.parametrize(
    ("path", "body", "key", "status"),
    [
        ("/charges", b"{}", "k", 400),
        ("/charges", b'{"order": "1", "amount": "NaN"}', "k", 400),
        ("/charges", b'{"order": "1", "amount": "-5"}', "k", 400),
        ("/charges", b'{"order": 1, "amount": 5}', "k", 400),
        ("/charges", b"\xff", "k", 400),
        ("/charges", b'{"order": "1", "amount": "5"}', "", 400),
        ("/charges", b"[]" * 40_000, "k", 413),
        ("/elsewhere", b"{}", "k", 404),
    ],
)
def test_a_request_without_sense_is_refused(provider: Provider, path: str, body: bytes, key: str, status: int) -> None:
    assert post(provider, path, body, {"Idempotency-Key": key}) == status
    assert provider.ledger.counts()["charges"] == 0


def test_faults_are_the_same_each_time_and_about_as_many_as_asked_for() -> None:
    faults = Faults(seed=7, fail=0.2, hang=0.1, drop=0.3)
    drawn = [faults.of(f"order {number}", 1) for number in range(2000)]
    assert drawn == [faults.of(f"order {number}", 1) for number in range(2000)]
    shares = {kind: drawn.count(kind) / 2000 for kind in ("fail", "hang", "drop", "")}
    assert shares == pytest.approx({"fail": 0.2, "hang": 0.1, "drop": 0.3, "": 0.4}, abs=0.05)
    assert drawn != [Faults(seed=8, fail=0.2, hang=0.1, drop=0.3).of(f"order {n}", 1) for n in range(2000)]


def test_a_provider_that_was_killed_remembers_its_charges(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "testproject.provider", "--port", "0", "--ledger", str(tmp_path / "ledger")]
    command += ["--fail", "0", "--hang", "0", "--drop", "0"]
    answers = [charge_and_kill(command), charge_and_kill(command)]
    assert answers[0] == answers[1]


def charge_and_kill(command: list[str]) -> str:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[4].rstrip(",")
        body = json.dumps({"order": "10001", "amount": "5"}).encode()
        request = urllib.request.Request(f"{url}/charges", body, {"Idempotency-Key": "k1"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            id = json.load(answer)["id"]
        process.kill()
    return str(id)
