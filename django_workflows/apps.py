"""Wiring: finds the projects' workflows and opens the doors between the layers."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class WorkflowsConfig(AppConfig):
    name = "django_workflows"
    verbose_name = _("Workflows")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_workflows import wiring  # noqa: PLC0415  # models can be imported only now

        wiring.open_doors()
        autodiscover_modules("workflows")
