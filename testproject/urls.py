"""The admin is the front page."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/", include("django_workflows.urls")),
    path("i18n/", include("django.conf.urls.i18n")),  # the language chooser of the admin theme
]
