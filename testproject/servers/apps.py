"""Rented servers, from their creation to their end."""

from __future__ import annotations

from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "testproject.servers"
