"""Reading orders from CSV: one order and one execution of `fulfil` for each row, however often a file is imported."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from testproject.shop.models import Order, Product
from testproject.shop.workflows import fulfil

COLUMNS = ("number", "email", "sku", "quantity")
BATCH = 500


class BadFile(Exception):
    """The file as a whole cannot be read as orders."""


class Row(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """One row of the file; says what is wrong with it."""

    number = forms.RegexField(r"^[A-Za-z0-9-]+$", max_length=20)
    sku = forms.CharField(max_length=20)
    quantity = forms.IntegerField(min_value=1, max_value=10_000)

    class Meta:
        model = Order
        fields = ("number", "email", "quantity")

    def __init__(self, data: dict[str, Any], products: dict[str, Product]) -> None:
        super().__init__(data)
        self.products = products

    def clean_sku(self) -> str:
        sku = str(self.cleaned_data["sku"])
        if sku not in self.products:
            raise ValidationError(f"no product has the SKU {sku}.")
        return sku

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            product = self.products[cleaned["sku"]]
            self.instance.product, self.instance.amount = product, product.price * cleaned["quantity"]
        return cleaned

    def validate_unique(self) -> None:
        """A number that is known is no error here: `import_batch` looks whether it is the same order."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of the rows; `refused` pairs the number of a line with what is wrong in it."""

    imported: int = 0
    known: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


def import_orders(lines: Iterable[str]) -> Report:
    """Import all rows that are right. Raises `BadFile` when the header lacks a column."""
    report = Report()
    rows = read_orders(lines, report)
    while batch := list(islice(rows, BATCH)):
        import_batch(batch, report)
    report.refused.sort()
    return report


def read_orders(lines: Iterable[str], report: Report) -> Iterator[tuple[int, Order]]:
    """Each valid row as an order that is not saved yet, with the number of its line."""
    products = {product.sku: product for product in Product.objects.all()}
    for line, values in read_rows(lines, report):
        row = Row(values, products)
        if row.is_valid():
            yield line, row.instance
        else:
            problems = (f"{name}: {' '.join(map(str, messages))}" for name, messages in row.errors.items())
            report.refused.append((line, " ".join(problems)))


def read_rows(lines: Iterable[str], report: Report) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(lines, strict=True)
    try:
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise BadFile(f"The first line must name the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}.")
        for values in reader:
            if None in values or None in values.values():
                report.refused.append((reader.line_num, "has not as many columns as the first line."))
            else:
                yield reader.line_num, values
    except csv.Error as error:
        report.refused.append((reader.line_num + 1, f"{error}; the file was read up to here."))


@transaction.atomic
def import_batch(batch: list[tuple[int, Order]], report: Report) -> None:
    """Orders and executions are committed together: no order without its execution, and the reverse."""
    known = {order.number: order for order in Order.objects.filter(number__in=[order.number for _, order in batch])}
    new = []
    for line, order in batch:
        if (before := known.setdefault(order.number, order)) is order:
            new.append(order)
        elif content(before) == content(order):
            report.known += 1
        else:
            report.refused.append((line, f"number: {order.number} is known already, with other content."))
    # Somebody may be importing the same file right now: whoever commits first has made the order and its execution.
    Order.objects.bulk_create(new, ignore_conflicts=True)
    for order in new:
        fulfil.using(idempotency_key=order.number, tags={"sku": order.product.sku}).start(order.number, order.amount)
    report.imported += len(new)


def content(order: Order) -> tuple[str, int, int]:
    """What the customer asked for; the price may have changed since."""
    return order.email, order.product_id, order.quantity
