"""The HTTP API, and which process answers."""

from __future__ import annotations

import os

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def process(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(os.getpid()))


urlpatterns = [path("api/", include("django_workflows.urls")), path("process", process)]
