from datetime import datetime

import pytest

from channels.simulator import identifiers
from channels.simulator.identifiers import EAT


@pytest.mark.parametrize(
    ("day", "prefix"),
    [((2017, 7, 27), "LGR"), ((2019, 12, 19), "NLJ"), ((2024, 7, 6), "SG6"), ((2026, 8, 25), "UHP")],
)
def test_receipt_begins_with_its_day(day, prefix):
    at = datetime(*day, 12, tzinfo=EAT).timestamp()

    assert identifiers.receipt(at)[:3] == prefix
    assert len(identifiers.receipt(at)) == 10
    assert identifiers.no_receipt(at) == f"{prefix}0000000"


def test_day_turns_at_midnight_in_nairobi():
    at = datetime(2026, 8, 25, 0, 0, 1, tzinfo=EAT).timestamp()

    assert identifiers.receipt_prefix(at) == "UHP"
    assert identifiers.receipt_prefix(at - 2) == "UHO"
    assert identifiers.compact(at) == "20260825000001"


def test_checkout_request_id_has_unpadded_milliseconds_and_nine_digits():
    at = datetime(2026, 8, 17, 14, 4, 3, 27_000, tzinfo=EAT).timestamp()

    assert identifiers.checkout_request_id(at, "254708374149") == "ws_CO_1708202614040327708374149"
