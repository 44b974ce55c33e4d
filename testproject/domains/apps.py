"""Customers' domains, from the order to the certificate."""

from __future__ import annotations

from django.apps import AppConfig


class DomainsConfig(AppConfig):
    name = "testproject.domains"
