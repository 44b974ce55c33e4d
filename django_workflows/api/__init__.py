"""The HTTP interface: the doors, verbs and reading side of the lower layers, for callers in any language.

| module | what it is |
|---|---|
| `access` | who may do what: Django's permissions, by row too, and the project's own scope |
| `problems` | errors as problem+json, for HTTP and for JSON-RPC |
| `fields`, `requests` | what comes in: bounded, strict, nothing unknown |
| `paging` | pages with cursors |
| `shapes` | what goes out; payloads only for those who may see them |
| `acts` | what can be asked for, in Python; views and JSON-RPC are two ways to ask |
| `base`, `views` | HTTP |
| `rpc` | JSON-RPC 2.0 |
| `streams` | waiting for news: server-sent events, and results that are not there yet |
| `openapi` | descriptions for drf-spectacular, when it is installed |
"""
