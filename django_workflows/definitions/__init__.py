"""Workflows described as data, executed by the same engine as those that are code.

| module | what it is |
|---|---|
| `shapes` | a definition once it has been read |
| `reading` | from JSON to a definition: keys and types |
| `fields` | reading the fields of an object, noting problems by path |
| `schemas` | `inputSchema` |
| `checking` | what it refers to exists, and is done in time |
| `interpreting` | the workflow function that goes through its steps |
| `actions` | how it calls registered steps |
| `permitting` | what its saver must be allowed to do |
| `stored` | versions as workers and clients ask for them |
| `saving` | definitions as rows |
"""

from django_workflows.definitions.saving import Saved, current_document, delete, is_in_code, save, validate
from django_workflows.definitions.stored import stored

__all__ = ["Saved", "current_document", "delete", "is_in_code", "save", "stored", "validate"]
