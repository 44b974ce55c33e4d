"""Counts the queries of worker processes when a test asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

QUERIES = "queries"


class SampleConfig(AppConfig):
    name = "tests.sample"
    label = "sample"

    def ready(self) -> None:
        if os.environ.get("SAMPLE_COUNTS_QUERIES"):
            connection_created.connect(count_queries)


def count_queries(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """One byte for each query, in a file that all processes append to."""
    file = Path(os.environ["SAMPLE_FOLDER"]) / QUERIES
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def count(execute: Callable[..., Any], *args: Any) -> Any:
        os.write(descriptor, b".")
        return execute(*args)

    connection.execute_wrappers.append(count)
