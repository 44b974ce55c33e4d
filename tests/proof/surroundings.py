"""The names of hostile surroundings (`hostility.py` makes them), and who is spared."""

from __future__ import annotations

HOSTILE = {
    "eviction": "eviction at every wait, and replay at every step",
    "one-slot": "one slot for each colour, and no thread for branches",
    "short-lease": "a lease shorter than a step, and a second worker that would take over",
    "serialization": "40001 for every fifth statement and commit of the pump",
    "polling": "polling only",
}

# Tests that look into what hostile surroundings do not have: why they are left out there.
TAME = {
    "test_a_worker_that_dies_between_effect_and_commit": "it takes the harness's lease of an hour for granted",
    "test_no_attempt_acts_upon_anything_else_than_the_one_before": "its bodies end the only worker there is",
    "test_a_signal_that_comes_during_the_last_look_is_seen": "it puts itself between the harness and its committer",
}

# And those that have everything else, but not in the surroundings of this name.
TAME_IN = {
    **{
        (name, "test_the_late_result_of_a_def_step_is_refused"): "no attempt keeps its timeout, slow as they are"
        for name in ("short-lease", "serialization")
    },
    **{
        (name, "test_overdue_timers_fire_once_oldest_first"): "what is claimed in order is executed by several threads"
        for name in ("short-lease", "serialization", "polling")
    },
}
