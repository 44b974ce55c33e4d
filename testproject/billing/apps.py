"""Billing: once a month every active customer gets one invoice."""

from __future__ import annotations

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "testproject.billing"
