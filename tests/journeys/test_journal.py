"""The journal between the processes that write it and those that replay what others left."""

import fcntl
from datetime import UTC, datetime

import pytest

from audit.ids import new_id
from tenants.inbox import Delivery, Journal


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path)
    yield journal
    journal.close()


def delivery(body=b"{}"):
    return Delivery(
        token_hash=b"h" * 32,
        id=new_id(),
        tenant_id=None,
        channel_id=None,
        kind="RESULT",
        body=body,
        headers="{}",
        address="127.0.0.1",
        address_is_listed=False,
        received_at=datetime.now(UTC),
        state="PENDING",
    )


def replay(folder):
    """What another process would bring into the database now."""
    other, found = Journal(folder), []
    for segment, deliveries in other.segments():
        found += deliveries
        other.remove(segment)
    return found


def test_deliveries_come_back_as_they_went_in(journal, tmp_path):
    kept = [delivery(b"\x00\xff"), delivery(b'{"a":1}\n')]
    journal.append(kept)
    journal.close()

    assert replay(tmp_path) == kept
    assert list(tmp_path.iterdir()) == []


def test_a_segment_that_is_being_written_is_left_alone(journal, tmp_path):
    journal.append([delivery()])

    assert replay(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 1


def test_a_segment_can_not_be_taken_away_before_it_is_locked(journal, tmp_path, monkeypatch):
    """Once the replay could remove the new, still empty file, and what was then written into it was lost."""
    real, kept = fcntl.flock, delivery()

    def replay_first(file, operation):
        monkeypatch.setattr(fcntl, "flock", real)
        replay(tmp_path)
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", replay_first)
    journal.append([kept])
    journal.close()

    assert replay(tmp_path) == [kept]


def test_a_line_that_was_torn_by_a_crash_is_left_out(journal, tmp_path):
    kept = delivery()
    journal.append([kept])
    journal.close()
    (segment,) = tmp_path.iterdir()
    segment.write_bytes(segment.read_bytes() * 2)
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 20)

    assert replay(tmp_path) == [kept]
