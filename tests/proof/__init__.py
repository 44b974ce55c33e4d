"""The promises, proven: crashes at every statement, faults of the database, stale holders, races.

`make test` runs a sample of it that another seed chooses each time, `make proof` runs all; see docs/proof.md.

| module | what it is |
|---|---|
| `workflows` | what the processes under trial execute: one workflow that uses every feature, and small ones |
| `tapping` | stands around every statement and commit of a connection |
| `accidents` | what may happen there: the process dies, or the database answers with an error |
| `nursery` | forks worker processes that meet with accidents |
| `trials` | one execution from its start to its end, whatever happens to its workers; the verdict on it |
| `interleaving` | two sessions whose statements take turns as a schedule says |
| `duels` | what two sessions do to one execution, and what must have come of it |
| `zombies`, `lates` | late writes and late turns of a holder that has lost its claim |
| `programs` | random programs, and the model of what must come out |
| `surroundings`, `hostility` | what the behavioural suite is executed in once more |
| `sampling` | which part of a proof runs |
"""
