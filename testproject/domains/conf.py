"""The settings of domains, read when they are needed."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from django_workflows.expressions.durations import parse_duration


def registrar_url() -> str:
    return str(getattr(settings, "DOMAINS_REGISTRAR_URL", "http://127.0.0.1:8091"))


def registrar_timeout() -> float:
    """Seconds for one call."""
    return float(getattr(settings, "DOMAINS_REGISTRAR_TIMEOUT", 10))


def check_timeout() -> timedelta:
    """How long somebody may take to look at a new domain."""
    return parse_duration(getattr(settings, "DOMAINS_CHECK_TIMEOUT", "3 days"))


def first_pause() -> timedelta:
    """How long to wait before looking again whether a record has spread; later looks wait longer."""
    return parse_duration(getattr(settings, "DOMAINS_FIRST_PAUSE", "1 minute"))


def inspectors() -> list[str]:
    """Who is asked to look at a new domain."""
    return list(getattr(settings, "DOMAINS_INSPECTORS", ["inspector@example.com"]))
