"""manage.py import_orders: one order and one execution for each row, however often and by whomever it is imported."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from django_workflows.models import Execution
from testproject import shop
from testproject.shop.importing import import_orders
from testproject.shop.models import Order, Product
from testproject.shop.workflows import fulfil

HEADER = "number,email,sku,quantity\n"
GOOD = "10001,ada@example.com,LAMP-01,2\n"
SHIPPED_FILE = Path(shop.__file__).with_name("orders.csv")

Import = Callable[[str | bytes], str]


@pytest.fixture
def products(db: None) -> None:
    call_command("loaddata", "products", verbosity=0)


@pytest.fixture
def run(products: None, tmp_path: Path) -> Import:
    """Write a file, import it, and give back what the command has said."""

    def run(content: str | bytes) -> str:
        file = tmp_path / "orders.csv"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        said, complained = StringIO(), StringIO()
        try:
            call_command("import_orders", str(file), stdout=said, stderr=complained)
        except CommandError as error:
            return f"{complained.getvalue()}{said.getvalue()}CommandError: {error}"
        return said.getvalue()

    return run


def test_a_row_becomes_an_order_and_an_execution(run: Import) -> None:
    assert run(HEADER + GOOD) == "1 orders imported, 0 already known.\n"
    order = Order.objects.get(number="10001")
    assert (order.email, order.product.sku, order.quantity) == ("ada@example.com", "LAMP-01", 2)
    assert order.amount == Decimal("79.80")
    execution = Execution.objects.for_workflow(fulfil).get()
    assert execution.idempotency_key == "10001"
    assert execution.input == {"number": "10001", "amount": "79.80"}


def test_importing_again_starts_nothing(run: Import) -> None:
    content = SHIPPED_FILE.read_text()
    assert run(content) == "200 orders imported, 0 already known.\n"
    assert run(content) == "0 orders imported, 200 already known.\n"
    assert Execution.objects.for_workflow(fulfil).count() == Order.objects.count() == 200


def test_an_order_that_was_deleted_is_not_charged_again(run: Import) -> None:
    run(HEADER + GOOD)
    Order.objects.all().delete()
    run(HEADER + GOOD)
    assert Execution.objects.for_workflow(fulfil).count() == 1


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("10002,nobody,LAMP-01,1", "email: Enter a valid email address."),
        ("10002,ada@example.com,NOTHING,1", "sku: no product has the SKU NOTHING."),
        ("10002,ada@example.com,LAMP-01,none", "quantity: Enter a whole number."),
        ("10002,ada@example.com,LAMP-01,0", "quantity: Ensure this value is greater than or equal to 1."),
        ("10002,ada@example.com,LAMP-01,", "quantity: This field is required."),
        (",ada@example.com,LAMP-01,1", "number: This field is required."),
        ("a b,ada@example.com,LAMP-01,1", "number: Enter a valid value."),
        ("10002,ada@example.com,LAMP-01", "has not as many columns as the first line."),
        ("10002,ada@example.com,LAMP-01,1,1", "has not as many columns as the first line."),
        ("10002,ada@example.com,LAMP-01\0,1", "sku: Null characters are not allowed."),
        ("10001,ada@example.com,LAMP-01,3", "number: 10001 is known already, with other content."),
    ],
)
def test_a_wrong_row_is_named_by_its_line_and_the_others_are_imported(run: Import, row: str, problem: str) -> None:
    said = run(HEADER + GOOD + row + "\n10009,ada@example.com,LAMP-01,1\n")
    assert said == (
        f"line 3: {problem}\n2 orders imported, 0 already known.\n"
        "CommandError: 1 lines were refused; correct them and import the file again."
    )
    assert list(Order.objects.order_by("number").values_list("number", flat=True)) == ["10001", "10009"]


def test_a_row_that_stands_twice_in_the_file_counts_once(run: Import) -> None:
    assert run(HEADER + GOOD + GOOD) == "1 orders imported, 1 already known.\n"


def test_lines_are_counted_as_an_editor_does(run: Import) -> None:
    said = run(HEADER + '10001,"ada\n@example.com",LAMP-01,1\n' + "10002,x,LAMP-01,1\n")
    assert "line 3: email" in said
    assert "line 4: email" in said


def test_quotes_that_never_end_stop_the_import_there(run: Import) -> None:
    said = run(HEADER + GOOD + '10002,"ada@example.com,LAMP-01,1\n')
    assert "line 3: unexpected end of data; the file was read up to here." in said
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "missing: number, email, sku, quantity."),
        ("number;email;sku;quantity\n", "missing: number, email, sku, quantity."),
        ("number,email,sku\n", "missing: quantity."),
        (HEADER.encode() + b"10001,\xe4@example.com,LAMP-01,1\n", "is not UTF-8 text (byte 32)."),
    ],
)
def test_a_file_that_holds_no_orders_is_refused_whole(run: Import, content: str | bytes, problem: str) -> None:
    said = run(content)
    assert said.startswith("CommandError: ")
    assert said.endswith(problem)
    assert not Order.objects.exists()


def test_a_file_from_a_spreadsheet_with_its_mark_at_the_beginning_is_read(run: Import) -> None:
    assert run(b"\xef\xbb\xbf" + (HEADER + GOOD).replace("\n", "\r\n").encode()).startswith("1 orders imported")


def test_a_file_that_is_not_there_is_an_error_in_words(products: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"Cannot read .*nothing\.csv: No such file"):
        call_command("import_orders", str(tmp_path / "nothing.csv"))


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_at_once_start_each_order_once() -> None:
    call_command("loaddata", "products", verbosity=0)
    lines = SHIPPED_FILE.read_text().splitlines(keepends=True)
    ready, errors = threading.Barrier(2), []

    def import_all() -> None:
        try:
            ready.wait()
            import_orders(lines)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=import_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Order.objects.count() == Execution.objects.for_workflow(fulfil).count() == 200
    assert Product.objects.count() == 12
