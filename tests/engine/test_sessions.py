"""What a body leaves on a connection of a worker's thread does not reach the next; who leaves nothing keeps it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError, connection, connections, transaction

from django_workflows.engine.database import sessions, user_transactions
from django_workflows.engine.database.session_changes import lasts

pytestmark = pytest.mark.django_db(transaction=True)

on_postgres = pytest.mark.skipif(connection.vendor != "postgresql", reason="settings of a session of PostgreSQL")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PRAGMAs and the driver of SQLite")

Body = Callable[[], Any]


def in_a_thread_of_a_worker(*bodies: Body, then: Callable[[], None] = sessions.after_body) -> list[Any]:
    """What these bodies return, called one after the other in one thread that is used again."""
    answers = SimpleQueue[Any]()

    def serve() -> None:
        sessions.own_this_thread()
        try:
            for body in bodies:
                answers.put(body())
                then()
        except BaseException as error:
            answers.put(error)
            raise
        finally:
            connections.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join(60)
    return [answers.get_nowait() for _ in bodies]


def ask(statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else None


def driver() -> Any:
    """The connection of the driver; kept, so that a later one cannot have its identity."""
    connection.ensure_connection()
    return connection.connection


def by_driver(statement: str) -> Body:
    return lambda: driver().execute(statement) and None


def set_attribute(name: str, value: Any) -> Body:
    return lambda: setattr(connections["default"], name, value)


def set_on_driver(name: str, value: Any) -> Body:
    return lambda: setattr(driver(), name, value)


def add_wrapper() -> None:
    connection.execute_wrappers.append(lambda execute, *args: execute(*args))


def in_a_transaction() -> Any:
    with transaction.atomic():
        ask("SELECT 1")


@pytest.mark.parametrize("plain", [lambda: ask("SELECT 1"), in_a_transaction], ids=["reads", "in a transaction"])
def test_a_body_that_leaves_nothing_keeps_its_connection(plain: Body) -> None:
    first, _, second = in_a_thread_of_a_worker(driver, plain, driver)
    assert first is second


@on_postgres
@pytest.mark.parametrize(
    "leave",
    [
        lambda: ask("SET search_path TO pg_catalog"),
        lambda: ask("SELECT set_config('search_path', 'pg_catalog', false)"),
        by_driver("SET search_path TO pg_catalog"),
        lambda: ask("set statement_timeout = 12345"),
        lambda: ask("SET ROLE pg_monitor"),
        lambda: ask("CREATE TEMPORARY TABLE leftover (id int)"),
        lambda: ask("SELECT 1 AS id INTO TEMP leftover"),
        lambda: ask("SELECT pg_advisory_lock(42)"),
        lambda: ask("SELECT pg_try_advisory_lock(42)"),
        lambda: ask("LISTEN somebody"),
        lambda: ask("PREPARE leftover AS SELECT 1"),
        lambda: ask("SELECT 1; SET search_path TO pg_catalog"),
        lambda: ask("-- a comment\nSET search_path TO pg_catalog"),
        set_on_driver("read_only", True),
    ],
)
def test_a_session_that_a_body_has_changed_is_not_used_again(leave: Body) -> None:
    before, _, after = in_a_thread_of_a_worker(driver, leave, driver)
    assert before is not after


@on_postgres
def test_a_setting_of_one_transaction_is_no_reason_to_connect_again() -> None:
    def body() -> Any:
        with transaction.atomic():
            ask("SET LOCAL statement_timeout = 12345")
            ask("SELECT pg_advisory_xact_lock(42)")
        return driver()

    first, second = in_a_thread_of_a_worker(body, body)
    assert first is second


@on_sqlite
@pytest.mark.parametrize(
    "leave",
    [
        lambda: ask("PRAGMA foreign_keys = OFF"),
        by_driver("PRAGMA foreign_keys = OFF"),
        lambda: ask("ATTACH DATABASE ':memory:' AS other"),
        lambda: ask("CREATE TEMP TABLE leftover (id int)"),
        set_on_driver("text_factory", bytes),
        set_on_driver("row_factory", dict),
    ],
)
def test_a_connection_of_sqlite_that_a_body_has_changed_is_not_used_again(leave: Body) -> None:
    before, _, after = in_a_thread_of_a_worker(driver, leave, driver)
    assert before is not after


@pytest.mark.parametrize("connects", [False, True])
@pytest.mark.parametrize(
    "leave", [set_attribute("schema_name", "tenant"), set_attribute("force_debug_cursor", True), add_wrapper]
)
def test_what_a_tenant_library_keeps_on_the_connection_is_not_there_for_the_next(leave: Body, connects: bool) -> None:
    """Whether a query was made with it, or not yet."""

    def body() -> None:
        leave()
        if connects:
            ask("SELECT 1")

    def look() -> Any:
        wrapper = connections["default"]
        return getattr(wrapper, "schema_name", None), wrapper.force_debug_cursor, list(wrapper.execute_wrappers)

    before, _, after = in_a_thread_of_a_worker(look, body, look)
    assert before == after == (None, False, [])


def test_with_debug_no_statements_are_kept(settings: Any) -> None:
    settings.DEBUG = True
    made, kept = in_a_thread_of_a_worker(
        lambda: ask("SELECT 1") and len(connection.queries_log), lambda: len(connection.queries_log)
    )
    assert (made, kept) == (1, 0)


# Django's own settings


@pytest.mark.parametrize(("age", "is_kept"), [(0, False), (None, True), (600, True)])
def test_a_connection_is_as_old_as_conn_max_age_allows(age: int | None, is_kept: bool) -> None:
    with mock.patch.dict(connection.settings_dict, {"CONN_MAX_AGE": age}):
        first, second = in_a_thread_of_a_worker(driver, driver, then=sessions.after_call)
    assert (first is second) is is_kept


@on_postgres
def test_conn_health_checks_try_a_connection_before_it_is_used_again() -> None:
    """It was cut while nobody looked."""
    with mock.patch.dict(connection.settings_dict, {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}):
        _, _, answer = in_a_thread_of_a_worker(driver, cut, lambda: ask("SELECT 1"), then=sessions.after_call)
    assert answer == (1,)


def cut() -> None:
    """Have the server end this thread's connection, of which neither Django nor the driver hears."""
    with connection.temporary_connection():
        pid = driver().info.backend_pid
    other = connections["default"].copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    other.close()


@on_postgres
def test_after_an_outage_every_connection_is_tried_before_it_is_used_again() -> None:
    """Those of other threads too, and without `CONN_HEALTH_CHECKS`."""
    with mock.patch.dict(connection.settings_dict, {"CONN_MAX_AGE": None}):

        def body() -> Any:
            user_transactions.doubt_all()
            return ask("SELECT 1")

        _, _, answer = in_a_thread_of_a_worker(driver, cut, body, then=sessions.after_call)
    assert answer == (1,)


def test_an_open_begin_is_rolled_back_and_named() -> None:
    def body() -> Any:
        ask("BEGIN")
        with pytest.raises(user_transactions.OpenTransaction, match="default"):
            user_transactions.close_left_open({})
        return user_transactions.open_now()

    assert in_a_thread_of_a_worker(body) == [{}]


@pytest.mark.parametrize("name", ["autocommit", "isolation_level"])
def test_autocommit_turned_off_through_the_driver_is_found_out(name: str) -> None:
    def body() -> Any:
        raw = driver()
        if connection.vendor == "sqlite":
            raw.isolation_level = "DEFERRED"
        else:
            raw.autocommit = False
        return user_transactions.roll_back_left_open({})

    assert in_a_thread_of_a_worker(body) == [["default"]]


def test_a_broken_statement_is_no_reason_to_keep_a_broken_connection() -> None:
    def body() -> None:
        with pytest.raises(OperationalError):
            raise OperationalError
        driver().close()

    assert in_a_thread_of_a_worker(body, lambda: ask("SELECT 1"), then=sessions.after_call)[1] == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        " insert into t values (1)",
        "WITH x AS (SELECT 1) SELECT 1",
        "SAVEPOINT a",
        "SET LOCAL a = 1",
        "(SELECT 1)",
    ],
)
def test_what_leaves_nothing(statement: str) -> None:
    assert not lasts(statement)
