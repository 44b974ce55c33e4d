"""An online shop: orders come in by CSV and are charged, approved, shipped."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "testproject.shop"
