"""Waiting for news: server-sent events, and results that are not there yet.

| module | what it is |
|---|---|
| `slots` | how many may wait at once |
| `admission` | whether who waits would be let in again |
| `closing` | the end of the server |
| `following` | what is new about one execution |
| `hub` | under ASGI: one look at the database for all who wait |
| `sending` | the texts that are sent, under ASGI and under WSGI |
"""
