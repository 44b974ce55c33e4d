"""Reading rows whose columns may be large: no more of them than so many bytes hold.

A page of two hundred outputs of a megabyte each is no page. The sizes are asked for first, which costs the database a
look and nobody's memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, F, Func, Model, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.sql.compiler import SQLCompiler

M = TypeVar("M", bound=Model)


class Bytes(Func):
    """How many bytes the text of a column has, that of JSON too; 0 where there is none."""

    template = "COALESCE(OCTET_LENGTH(CAST(%(expressions)s AS text)), 0)"
    output_field = BigIntegerField()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **more: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        """Its older versions know no OCTET_LENGTH, and count the characters of a text."""
        template = "COALESCE(LENGTH(CAST(%(expressions)s AS BLOB)), 0)"
        return super().as_sql(compiler, connection, template=template, **more)


def size_of(large: Sequence[str]) -> Combinable:
    """How many bytes these columns of a row have together."""
    return reduce(add, (Bytes(F(column)) for column in large))


def how_many(found: Sequence[int], most: int) -> int:
    """How many of these sizes come to `most` at the utmost; the first one counts in any case, or nobody got further."""
    total = 0
    for number, size in enumerate(found):
        total += size
        if most < total > size:
            return number
    return len(found)


def fitting(rows: QuerySet[M], large: Sequence[str], *, limit: int, most: int) -> tuple[list[M], bool]:
    """The first `limit` rows, or fewer where the `large` columns of these have more than `most` bytes, but at least
    one; and whether others follow.
    """
    found = list(rows.annotate(_bytes=size_of(large)).values_list("pk", "_bytes")[: limit + 1])
    number = how_many([size for _, size in found[:limit]], most)
    keys = [key for key, _ in found[:number]]
    return list(rows.filter(pk__in=keys)), number < len(found)
