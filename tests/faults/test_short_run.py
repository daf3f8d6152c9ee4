"""The whole house under faults, for half a minute: afterwards M-PESA's books and ours are the same."""

import pytest

from tests.faults.plan import Measures
from tests.faults.report import as_text
from tests.faults.run import run

pytestmark = pytest.mark.processes

SEED = 7
SHORT = Measures(seconds=25, payouts=150, payments=300, kills=5, businesses=2)


def test_no_shilling_is_lost_or_sent_twice_whatever_falls_over(tmp_path):
    result = run(tmp_path / "house", seed=SEED, measures=SHORT, patience_s=150, is_patient=False)

    assert result.wrong == [], as_text(result)
    assert result.kills.total() >= 4, as_text(result)
    assert result.faults.total() >= 40, as_text(result)
