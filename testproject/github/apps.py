"""What happens on GitHub: issues are triaged, and a commit's failing checks told in one mail."""

from __future__ import annotations

from django.apps import AppConfig


class GithubConfig(AppConfig):
    name = "testproject.github"
    verbose_name = "GitHub"
