import base64
import hashlib
import io
import pickle

import pytest
from django.core import serializers
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.forms import modelform_factory
from django_tenants.utils import tenant_context

from channels import fields
from channels.fields import SecretNotExported, UndecipherableSecret, seal, unseal
from channels.models import MpesaChannel
from tests.factories import make_channel

PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"


def key(word):
    return base64.urlsafe_b64encode(hashlib.sha256(word.encode()).digest()).decode()


OLD, NEW = key("old"), key("new")


@pytest.fixture
def ring(settings):
    """`ring(NEW, OLD)` sets ENCRYPTION_KEYS, newest first."""

    def use(*keys):
        settings.ENCRYPTION_KEYS = list(keys)

    use(OLD)
    return use


@pytest.fixture
def channel(ring, acme):
    return make_channel(acme, "600966", passkey=PASSKEY, consumer_key="k" * 48, consumer_secret="s" * 64)


def stored(tenant, column="passkey"):
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT "{column}" FROM "{tenant.schema_name}".channels_mpesachannel')
        return bytes(cursor.fetchone()[0])


def store(tenant, value, column="passkey"):
    with connection.cursor() as cursor:
        table = f'"{tenant.schema_name}".channels_mpesachannel'
        cursor.execute(f'UPDATE {table} SET "{column}" = %s', [value])


def passkey_of(tenant):
    with tenant_context(tenant):
        return MpesaChannel.objects.values_list("passkey", flat=True).get()


def test_a_secret_comes_back_as_it_was_saved(channel, acme):
    assert passkey_of(acme) == PASSKEY


@pytest.mark.parametrize("text", ["", "x", "Safaricom999!*!", "n\x00l", "ümläut 🔑", "x" * 5000])
def test_any_text_can_be_a_secret(channel, acme, text):
    with tenant_context(acme):
        MpesaChannel.objects.update(passkey=text)

    assert passkey_of(acme) == text


def test_the_database_holds_neither_the_secret_nor_a_pickle(channel, acme):
    kept = stored(acme)

    assert PASSKEY.encode() not in kept
    assert base64.b64encode(PASSKEY.encode()) not in kept
    assert len(kept) == 1 + 4 + 12 + len(PASSKEY) + 16
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(kept)  # noqa: S301


def test_the_same_secret_never_looks_the_same(channel, acme):
    before = stored(acme)
    with tenant_context(acme):
        MpesaChannel.objects.get().save()

    assert stored(acme) != before
    assert passkey_of(acme) == PASSKEY


def test_a_secret_copied_to_another_business_does_not_open(channel, acme, rival):
    make_channel(rival, "600967")
    store(rival, stored(acme))

    with pytest.raises(UndecipherableSecret):
        passkey_of(rival)


def test_a_secret_copied_to_another_column_does_not_open(channel, acme):
    store(acme, stored(acme, "consumer_secret"))

    with pytest.raises(UndecipherableSecret):
        passkey_of(acme)


def test_a_secret_moved_by_an_update_in_the_database_does_not_open(channel, acme):
    with tenant_context(acme):
        MpesaChannel.objects.update(passkey=F("consumer_key"))

    with pytest.raises(UndecipherableSecret):
        passkey_of(acme)


def test_a_secret_of_another_table_does_not_open(ring):
    sealed = seal(PASSKEY, context=b"t_1\x00channels_mpesachannel\x00passkey")

    with pytest.raises(UndecipherableSecret):
        unseal(sealed, context=b"t_1\x00channels_other\x00passkey")


@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 12, 17, 20, 60])
def test_a_secret_that_was_cut_off_does_not_open(channel, acme, length):
    store(acme, stored(acme)[:length])

    with pytest.raises(UndecipherableSecret):
        passkey_of(acme)


@pytest.mark.parametrize("position", [0, 1, 4, 5, 16, 17, 40, -1])
def test_a_secret_with_one_changed_bit_does_not_open(channel, acme, position):
    altered = bytearray(stored(acme))
    altered[position] ^= 1
    store(acme, bytes(altered))

    with pytest.raises(UndecipherableSecret):
        passkey_of(acme)


def test_plain_text_put_there_by_hand_is_not_taken_for_a_secret(channel, acme):
    store(acme, PASSKEY.encode())

    with pytest.raises(UndecipherableSecret):
        passkey_of(acme)


def test_a_wrong_key_raises(channel, acme, ring):
    ring(NEW)

    with pytest.raises(UndecipherableSecret) as refusal:
        passkey_of(acme)
    assert PASSKEY not in str(refusal.value)


def test_work_that_needs_no_secret_goes_on_without_its_key(channel, acme, ring):
    ring(NEW)

    with tenant_context(acme):
        assert MpesaChannel.objects.without_secrets().get().shortcode == "600966"


def test_every_key_of_the_ring_opens_and_the_newest_seals(channel, acme, ring):
    ring(NEW, OLD)
    assert passkey_of(acme) == PASSKEY

    with tenant_context(acme):
        MpesaChannel.objects.update(passkey="another")
    ring(NEW)
    assert passkey_of(acme) == "another"


def test_a_secret_can_not_be_searched_for(channel, acme):
    with tenant_context(acme):
        with pytest.raises(FieldError):
            MpesaChannel.objects.filter(passkey=PASSKEY).exists()
        with pytest.raises(FieldError):
            MpesaChannel.objects.filter(passkey__startswith="bfb").exists()
        assert not MpesaChannel.objects.filter(passkey__isnull=True).exists()


def test_bulk_writes_are_sealed_too(channel, acme):
    with tenant_context(acme):
        row = MpesaChannel.objects.get()
        row.passkey = "from bulk_update"
        MpesaChannel.objects.bulk_update([row], ["passkey"])

    assert b"from" not in stored(acme)
    assert passkey_of(acme) == "from bulk_update"


def test_no_model_form_shows_a_secret(channel):
    form = modelform_factory(MpesaChannel, fields="__all__")(instance=channel)

    assert not set(MpesaChannel.SECRETS) & set(form.fields)
    assert PASSKEY not in form.as_p()


def test_a_dump_does_not_write_a_secret_out(channel):
    with pytest.raises(SecretNotExported):
        serializers.serialize("json", [channel])


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ([], "Set ENCRYPTION_KEYS"),
        (["short"], "must be 32 bytes"),
        ([NEW, OLD[:-4]], "must be 32 bytes"),
        ([f"{OLD[:10]}!{OLD[10:]}"], "must be 32 bytes"),
        ([OLD, OLD], "names one key twice"),
    ],
)
def test_keys_that_can_not_be_used_are_named(ring, keys, sentence):
    ring(*keys)

    with pytest.raises(ImproperlyConfigured, match=sentence):
        seal("x", context=b"")


def reencrypt():
    said = io.StringIO()
    call_command("reencrypt_secrets", stdout=said)
    return said.getvalue().strip()


def test_reencrypting_lets_the_old_key_go(channel, acme, rival, ring):
    make_channel(rival, "600967", passkey="rival's")
    ring(NEW, OLD)

    assert reencrypt() == "12 secrets were encrypted with the newest key."  # six columns of two channels
    ring(NEW)
    assert passkey_of(acme) == PASSKEY
    assert passkey_of(rival) == "rival's"


def test_reencrypting_again_changes_nothing(channel, acme, ring):
    ring(NEW, OLD)
    reencrypt()
    before = stored(acme)

    assert reencrypt() == "0 secrets were encrypted with the newest key."
    assert stored(acme) == before


def test_reencrypting_goes_on_where_it_was_broken_off(channel, acme, ring):
    ring(NEW, OLD)
    with tenant_context(acme):
        next(fields.reseal(MpesaChannel._meta.get_field("passkey")))

    assert reencrypt() == "5 secrets were encrypted with the newest key."
    ring(NEW)
    assert passkey_of(acme) == PASSKEY


def test_reencrypting_goes_through_more_rows_than_one_batch(acme, ring, monkeypatch):
    monkeypatch.setattr(fields, "_BATCH", 2)
    for number in range(5):
        make_channel(acme, f"60096{number}", passkey=f"passkey {number}")
    ring(NEW, OLD)

    assert reencrypt() == "30 secrets were encrypted with the newest key."
    ring(NEW)
    with tenant_context(acme):
        assert sorted(channel.passkey for channel in MpesaChannel.objects.all()) == [f"passkey {n}" for n in range(5)]


def test_a_secret_saved_while_reencrypting_is_kept(channel, acme, ring, monkeypatch):
    ring(NEW, OLD)

    def unseal_while_somebody_saves(sealed, *, context):
        with tenant_context(acme):
            MpesaChannel.objects.update(passkey="saved meanwhile")
        return unseal(sealed, context=context)

    monkeypatch.setattr(fields, "unseal", unseal_while_somebody_saves)
    with tenant_context(acme):
        list(fields.reseal(MpesaChannel._meta.get_field("passkey")))
    monkeypatch.undo()

    ring(NEW)
    assert passkey_of(acme) == "saved meanwhile"


def test_a_secret_that_can_not_be_read_is_named_and_left_alone(channel, acme, rival, ring):
    make_channel(rival, "600967", passkey="rival's")
    broken = stored(acme)[:-1]
    store(acme, broken)
    ring(NEW, OLD)

    with pytest.raises(CommandError) as refusal:
        reencrypt()

    assert str(refusal.value) == (
        f"1 can't be read with any key of ENCRYPTION_KEYS:\nacme: channels_mpesachannel.passkey of {channel.pk}"
    )
    assert stored(acme) == broken
    ring(NEW)
    assert passkey_of(rival) == "rival's"
