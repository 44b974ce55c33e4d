"""Deliveries from elsewhere: verified over the raw body, started once, acknowledged after the commit.

| module | what it is |
|---|---|
| `deliveries` | a delivery as it arrived, and what is answered |
| `schemes` | whether it comes from whom it says: one function for each way to prove it |
| `contents` | bodies as data, and which headers a workflow may see |
| `storing` | the execution, an event and the count, in one transaction |
| `receiving` | one delivery from beginning to end |
"""
