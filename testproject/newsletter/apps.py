"""A newsletter that its readers can leave."""

from __future__ import annotations

from django.apps import AppConfig


class NewsletterConfig(AppConfig):
    name = "testproject.newsletter"
