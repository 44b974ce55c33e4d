"""The engine: what moves executions. Its packages follow the way of an execution, from the ground up.

| floor | package | what it is for |
|---|---|---|
| 1 | `database` | transactions and their retries, dialects, errors, wake-ups, outages |
| 2 | `history` | the journal of an execution, keys as places in the code, and the rows of its log |
| 3 | `claims` | taking due executions and loading what their turns start from |
| 4 | `commit` | storing what turns want stored: values, statements, the group commit |
| 5 | `events` | published events find the waits that are open for them |
| 6 | `verbs` | pause, resume, cancel, retry: what an operator wants of an execution |
| 6 | `turn` | one claim's worth of progress: flags, mailbox, pending write, effects |
| 7 | `handlers` | one procedure for each command of `ctx`, and the call of a step's body |
| 8 | `runners` | a workflow's function in threads or on an event loop, from its first line to its ending |
| 9 | `worker` | the processes of `runworkflows`: pump, executor, keeper, supervisor |
| 10 | `inline` | turns in the caller's process: `EAGER`, and tests |

A module imports its own package and lower floors; two packages of one floor do not know each other. `tests/layers.py`
holds the floors, and no package passes the names of another on.
"""
