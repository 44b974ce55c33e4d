"""The chaos takes a server that stands elsewhere, and leaves it running."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests import postgres
from tests.chaos import __main__ as chaos
from tests.chaos.faults import Faults
from tests.chaos.stage import Server, Stage


def test_with_a_url_no_server_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    played: list[Any] = []

    def play(postmaster: Any, folder: Any, options: Any) -> Any:
        played.append(postmaster)
        return SimpleNamespace(is_good=True)

    monkeypatch.setenv("DATABASE_URL", "cockroachdb://root@elsewhere:26257/defaultdb")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "testproject.settings")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chaos, "_play", play)
    monkeypatch.setattr(postgres, "server", None)
    assert chaos.main(["--folder", str(tmp_path / "logs")]) == 0
    assert played == [None]


@pytest.mark.parametrize(("server", "threads"), [(Server(object()), 2), (Server(), 1)], ids=["ours", "elsewhere"])
def test_only_a_server_of_our_own_is_stopped(server: Server, threads: int) -> None:
    mischief = Faults(cast(Stage, SimpleNamespace(server=server)), cast(Any, None), seed=1)
    assert len(mischief._threads) == threads
