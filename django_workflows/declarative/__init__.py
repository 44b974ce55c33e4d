"""Workflows described as data, executed by the same engine as those that are code.

| module | what it is |
|---|---|
| `document` | a document once it has been read |
| `parser` | from JSON to a document: keys and types |
| `fields` | reading the fields of an object, noting problems by path |
| `schemas` | `inputSchema` |
| `validation` | what it refers to exists, and is done in time |
| `rights` | what it refers to is its saver's to use |
| `effort` | what checking input by a schema may cost |
| `interpreter` | the workflow function that goes through its steps |
| `actions` | how it calls registered steps |
| `loader` | versions as workers and clients ask for them |
| `saving` | documents as rows |

`django_workflows.definitions` is the public door.
"""
