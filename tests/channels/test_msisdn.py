import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import msisdn


@pytest.mark.parametrize(
    "typed",
    [
        "0712345678",
        "712345678",
        "254712345678",
        "+254712345678",
        "00254712345678",
        "+254 (0)712 345 678",
        "0712 345 678",
        "0712-345-678",
        "0712.345.678",
        "(0712) 345 678",
        " 0712\u00a0345\u2013678 ",
    ],
)
def test_every_local_form_is_the_same_number(typed):
    assert msisdn.normalise(typed) == "254712345678"


def test_newer_numbers_beginning_with_one_are_read_too():
    assert msisdn.normalise("0110 345 678") == "254110345678"
    assert msisdn.normalise("110345678") == "254110345678"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "0",
        "071234567",
        "07123456789",
        "0812345678",
        "020 1234567",
        "255712345678",
        "+256712345678",
        "0712345678x",
        "07123+45678",
        "2547 ***** 126",
        "٠٧١٢٣٤٥٦٧٨",
        "0712345678" + " " * 40,
    ],
)
def test_what_is_no_kenyan_mobile_number_is_refused_with_a_sentence(typed):
    with pytest.raises(msisdn.InvalidPhoneNumber) as refusal:
        msisdn.normalise(typed)

    assert str(refusal.value) == "Enter a Kenyan mobile number, like 0712 345 678."


@given(st.text(max_size=50))
def test_any_text_is_a_number_or_refused(typed):
    try:
        number = msisdn.normalise(typed)
    except msisdn.InvalidPhoneNumber:
        return
    assert msisdn.is_plain(number)
    assert msisdn.normalise(number) == number


@given(
    digits=st.from_regex(r"[17][0-9]{8}", fullmatch=True),
    prefix=st.sampled_from(["", "0", "254", "+254", "00254", "+254 (0)"]),
    separators=st.lists(st.sampled_from(["", " ", "-", ".", "\u00a0"]), min_size=9, max_size=9),
)
def test_separators_and_prefixes_do_not_change_the_number(digits, prefix, separators):
    typed = prefix + "".join(separator + digit for separator, digit in zip(separators, digits, strict=True))

    assert msisdn.normalise(typed) == f"254{digits}"


def test_a_masked_number_shows_four_digits_and_three():
    assert msisdn.mask("254708374126") == "2547****126"
    assert msisdn.mask("254110374126") == "2541****126"


def test_masking_never_shows_what_is_no_whole_number():
    assert msisdn.mask("2547 ***** 126") == "2547 ***** 126"
    assert msisdn.mask(msisdn.sha256_hex("254708374149")) == "****"
    assert msisdn.mask("0708374149") == "****"


@pytest.mark.parametrize("written", ["2547 ***** 126", "254******126", "25470****126", "2547****126"])
def test_the_ways_in_which_m_pesa_masks_are_known(written):
    assert written in msisdn.masks("254708374126")
    assert written not in msisdn.masks("254708374127")


@pytest.mark.parametrize(
    ("named", "is_possible"),
    [
        ("254712345126", True),
        ("+254712345126", True),
        ("0712345126", True),
        ("254712345101", False),
        ("0712345101", False),
        ("2547 ***** 126", True),
        ("254******126", True),
        ("07****126", True),
        ("2547 ***** 101", False),
        ("2541****126", False),
        ("254713*****126", False),
        (msisdn.sha256_hex("254712345126"), True),
        (msisdn.sha256_hex("254712345126").upper(), True),
        (msisdn.sha256_hex("254712345101"), False),
        (f"{msisdn.sha256_hex('254712345126')[:20]}****", True),
        (f"{msisdn.sha256_hex('254712345101')[:20]}****", False),
        ("600100", True),
        ("", True),
        ("*", True),
    ],
)
def test_what_m_pesa_wrote_speaks_for_or_against_a_number(named, is_possible):
    assert msisdn.may_be(named, "254712345126") is is_possible


def test_only_twelve_plain_digits_are_a_plain_number():
    assert msisdn.is_plain("254708374149")
    assert not msisdn.is_plain("0708374149")
    assert not msisdn.is_plain("254708374149\n")
    assert not msisdn.is_plain("2547 ***** 126")


def test_the_hash_is_of_the_twelve_digits():
    assert msisdn.sha256_hex("254708374149") == hashlib.sha256(b"254708374149").hexdigest()
    with pytest.raises(msisdn.InvalidPhoneNumber):
        msisdn.sha256_hex("0708374149")
