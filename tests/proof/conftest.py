from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from django.db import connection

from testproject import database_url as urls
from tests.proof.nursery import Nursery
from tests.proof.sampling import parametrize
from tests.proof.trials import Trial


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "seeded(full, sample): takes a seed below `full`, or a sample of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize(metafunc)


@pytest.fixture(scope="session")
def nursery(django_db_setup: None) -> Iterator[Nursery]:
    nursery = Nursery(urls.from_settings(connection.settings_dict))
    yield nursery
    nursery.close()


NewTrial = Callable[[], Trial]


@pytest.fixture
def new_trial(transactional_db: None, nursery: Nursery, tmp_path: Path) -> NewTrial:
    """Begins one trial after the other."""
    numbers = count()
    return lambda: Trial(nursery, tmp_path / str(next(numbers)))
