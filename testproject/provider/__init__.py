"""A payment provider as bad as the real ones: it fails, hangs, and loses answers, all on purpose.

`python -m testproject.provider --port 8090 --ledger ledger.sqlite3` starts it; `GET /ledger` says what it has seen.
"""
