"""Rows that have a name of their own: `dumpdata --natural-primary` takes them to where `migrate` has made them."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar

from django.db import models

M = TypeVar("M", bound="Natural", covariant=True)


class NaturalManager(models.Manager[M]):
    """Finds a row by what makes it the only one."""

    def get_by_natural_key(self, *values: Any) -> M:
        return self.get(**dict(zip(self.model.natural, values, strict=True)))


class Natural(models.Model):
    """`natural` are the columns that are unique together; without `--natural-primary` its id goes along."""

    natural: ClassVar[tuple[str, ...]] = ()

    objects: ClassVar[NaturalManager[Self]] = NaturalManager()

    class Meta:
        abstract = True

    def natural_key(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.natural)
