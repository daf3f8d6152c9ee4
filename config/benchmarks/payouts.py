"""How long the largest batch of payouts takes from its file to its reservation: checked, kept, released."""

import io
import time

from django.contrib.auth.hashers import make_password
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.models import AuditRow
from audit.services import Actor
from channels.models import Environment, MpesaChannel
from config.benchmarks import stage
from config.benchmarks.table import Line
from payments.models import Payout, PayoutEntry, PayoutPolicy
from payments.payouts import files
from payments.payouts.batches import release_batch
from payments.payouts.checking import MAXIMUM_ROWS
from payments.payouts.creating import create_batch
from tenants.models import Membership, Role, User
from tenants.reauthentication import prove_again

_PASSWORD = "a long pass phrase"  # noqa: S105 - of a database that is dropped
_BUDGET_S = 10.0


def run(*, seconds: int) -> list[Line]:
    """`seconds` means nothing here: the batch has the size that it has."""
    with stage.bench_database():
        [business] = stage.make_businesses(1)
        user = User.objects.create(email="bursar@bench.example", password=make_password(_PASSWORD))
        place = Membership.objects.create(user=user, tenant=business.tenant, role=Role.ORG_ADMIN)
        with tenant_context(business.tenant):
            MpesaChannel.objects.filter(pk=business.channel_id).update(
                initiator_name="testapi", secret_notes={"initiator_credential": {"ends_in": None}}
            )
            limit = MAXIMUM_ROWS * 1_000
            PayoutPolicy.objects.create(
                environment=Environment.PRACTICE, approval_threshold=limit, maximum_per_day=limit
            )
            return _measure(Actor(kind=AuditRow.ActorKind.PERSON, id=user.pk, label=user.email, role=place.role), user)


def _measure(actor: Actor, user: User) -> list[Line]:
    file = io.BytesIO(_file())
    began = time.perf_counter()
    rows = files.read_rows(file, kind=Payout.Kind.PHONE)
    read = time.perf_counter()
    batch = create_batch(actor=actor, rows=rows, now=timezone.now())
    kept = time.perf_counter()
    proof = prove_again(user, password=_PASSWORD, now=timezone.now())
    proved = time.perf_counter()
    release_batch(actor=actor, batch_id=batch.pk, proof=proof, now=timezone.now())
    released = time.perf_counter()
    reserved = PayoutEntry.objects.filter(kind=PayoutEntry.Kind.RESERVE).count()
    if reserved != MAXIMUM_ROWS:
        raise AssertionError(f"{reserved:,} of {MAXIMUM_ROWS:,} payouts are reserved.")
    whole = (kept - began) + (released - proved)
    return [
        Line(f"{MAXIMUM_ROWS:,} rows of CSV read", f"{read - began:.2f} s"),
        Line("… checked and kept", f"{kept - read:.2f} s"),
        Line("… reserved", f"{released - proved:.2f} s"),
        Line("… from file to reservation", f"{whole:.2f} s", f"≤ {_BUDGET_S:.0f} s", whole <= _BUDGET_S),
    ]


def _file() -> bytes:
    lines = ["phone,amount,name,reference,reason"]
    lines += [f"07{12_000_000 + number},{100 + number % 900},Jane,S{number},Wages" for number in range(MAXIMUM_ROWS)]
    return "\n".join(lines).encode()
