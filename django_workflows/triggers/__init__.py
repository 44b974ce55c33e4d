"""The outside world starting work: events, schedules and webhooks.

| module | what it is |
|---|---|
| `received` | what came from outside, and how it becomes a workflow's input |
| `starting` | the one way from a trigger to an execution |
| `registering` | making, changing and removing triggers, checked |
| `syncing` | the triggers of the code as rows |
| `matching` | which triggers want an event, without asking the database for each |
| `dispatch` | published events start what they trigger |
"""
