"""`make chaos MINUTES=10`: the example workflows under a continuous load while everything around them breaks.

Worker processes work on a PostgreSQL that is stopped and started every 5 to 40 seconds; processes are killed, stopped
and continued, connections terminated, and the clocks of the workers are wrong by five minutes. What was acknowledged
is written down by those who asked for it; in the end nothing may be lost, doubled or stuck.

| module | what it is |
|---|---|
| `stage` | the server, the payment provider and the gangs of workers |
| `load` | customers, who start executions and send messages, and write down what was acknowledged |
| `faults_` | what goes wrong, drawn by a seed |
| `recovery` | how long it takes until what was hit moves again |
| `verdict` | what is looked at in the end |
| `play` | all of it, one after the other |
"""
