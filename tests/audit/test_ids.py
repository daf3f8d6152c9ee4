import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.ids import UnreadableId, UUIDv7Field, new_id, public_id, read_public_id


@given(st.uuids())
def test_the_outside_form_reads_back_as_the_same_identifier(value):
    text = public_id("pay", value)

    assert len(text) == 30
    assert read_public_id("pay", text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay",
        "pay_",
        "ch_00000000000000000000000001",
        "pay_0000000000000000000000000",
        "pay_000000000000000000000000001",
        "pay_0000000000000000000000000u",
        "pay_0000000000000000000000000A",
        "pay_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "00000000-0000-0000-0000-000000000001",
    ],
)
def test_what_is_not_such_an_identifier_is_refused(text):
    with pytest.raises(UnreadableId):
        read_public_id("pay", text)


def test_identifiers_sort_by_the_time_they_were_made():
    made = [new_id() for _ in range(1000)]

    assert made == sorted(made)
    assert {value.version for value in made} == {7}
    assert all(type(value) is uuid.UUID for value in made)


def test_the_prefix_of_a_key_is_not_the_databases_business():
    field = UUIDv7Field(primary_key=True, prefix="pay")

    assert field.prefix == "pay"
    assert "prefix" not in field.deconstruct()[3]
