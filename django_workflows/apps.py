"""Wiring: finds the projects' workflows and opens the doors between the layers."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class WorkflowsConfig(AppConfig):
    name = "django_workflows"
    verbose_name = _("Workflows")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("django_workflows.wiring").open_doors(self)  # it imports models, which can be imported only now
        autodiscover_modules("workflows")
