"""The door of workflows that are data: check, save, read and delete their documents. The parts are in `declarative`."""

from django_workflows.declarative.saving import Saved, current_document, delete, is_in_code, save, validate

__all__ = ["Saved", "current_document", "delete", "is_in_code", "save", "validate"]
