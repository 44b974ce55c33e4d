"""The database answers with errors at a share of all statements and commits, and nobody outside notices."""

from __future__ import annotations

import pytest

from tests.proof.conftest import NewTrial
from tests.proof.sampling import seeded

RATES = (0.05, 0.2)


@seeded(60, sample=1)
@pytest.mark.parametrize("rate", RATES)
def test_no_body_is_called_again_for_an_error_of_the_database(new_trial: NewTrial, rate: float, seed: int) -> None:
    """DBF-01, DBF-02, DBF-04, DBF-13, EVT-10: only a transactional step is repeated, as one unit."""
    trial = new_trial()
    trial.finish(seed=seed, rate=rate)
    trial.check()
    assert trial.accidents.total() > 0
