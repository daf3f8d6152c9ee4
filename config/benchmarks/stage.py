"""What a benchmark plays on: a database of its own, businesses with a channel each, and processes as in production."""

import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import psycopg
import requests
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from channels.models import Environment, MpesaChannel
from channels.msisdn import sha256_hex
from config.launcher.processes import Process, wait_until
from loyalty.members import member_code
from loyalty.models import AccrualRule, Member, Program
from tenants.inbox import database_url
from tenants.models import CallbackRoute, Domain, Tenant, TenantActivity
from tenants.routes import hash_token
from tenants.schema import build_schema, reserve_schema

PROJECT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Business:
    tenant: Tenant
    channel_id: UUID
    token: str
    shortcode: str


@contextmanager
def bench_database() -> Iterator[str]:
    """A new database on the server of DATABASE_URL, with public tables; its URL. Dropped afterwards."""
    name = f"tuzo_bench_{os.getpid()}"
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    before = settings.DATABASES["default"]["NAME"]
    connections["default"].close()
    settings.DATABASES["default"]["NAME"] = connections["default"].settings_dict["NAME"] = name
    try:
        call_command("migrate_schemas", shared=True, verbosity=0)
        yield database_url()
    finally:
        connections["default"].close()
        settings.DATABASES["default"]["NAME"] = connections["default"].settings_dict["NAME"] = before
        with psycopg.connect(settings.DATABASE_URL, autocommit=True) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def make_businesses(count: int) -> list[Business]:
    """Businesses with a live-like channel, a program that gives a point per KES 100, and ten members each."""
    return [_make_business(number) for number in range(count)]


def _make_business(number: int) -> Business:
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    tenant_id = new_id()
    tenant = Tenant.objects.create(
        id=tenant_id,
        schema_name=f"t_{tenant_id.hex}",
        slug=f"bench-{number}",
        business_name=f"Bench {number}",
        email=f"bench-{number}@example.com",
        phone="254712000001",
        status=Tenant.Status.ACTIVE,
    )
    Domain.objects.create(tenant=tenant, domain=f"bench-{number}.localhost", is_primary=True)
    TenantActivity.objects.create(tenant=tenant)
    reserve_schema(tenant)
    build_schema(tenant)
    token, shortcode = secrets.token_hex(16), str(600000 + number)
    with tenant_context(tenant):
        program = Program.objects.create(code="vip", name="VIP", member_key=Program.MemberKey.BY_REFERENCE)
        AccrualRule.objects.create(program=program)
        Member.objects.bulk_create(
            _member(program, code=f"vip{n:03d}", phone=f"2547120{number:03d}{n:02d}") for n in range(10)
        )
        channel = MpesaChannel.objects.create(
            name="Bench",
            shortcode=shortcode,
            kind=MpesaChannel.Kind.PAYBILL,
            environment=Environment.PRACTICE,
            status=MpesaChannel.Status.ACTIVE,
            is_primary=True,
            callback_token=token,
            account_mapping={"VIP*": "vip"},
        )
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    CallbackRoute.objects.create(
        token_hash=hash_token(token),
        tenant=tenant,
        channel_id=channel.pk,
        rules={
            "shortcodes": [shortcode],
            "is_open": True,
            "minimum": 1,
            "maximum": 250_000,
            "mapping": {"VIP*": "vip"},
        },
    )
    return Business(tenant, channel.pk, token, shortcode)


def _member(program: Program, *, code: str, phone: str) -> Member:
    now = timezone.now()
    return Member(
        program=program,
        environment=Environment.PRACTICE,
        code=member_code(code),
        name="John",
        phone_number=phone,
        phone_hash=sha256_hex(phone),
        consented_at=now,
        joined_at=now,
    )


def confirmation(business: Business, number: int = 0) -> str:
    """A confirmation's body as Daraja sends it, with %% where the receipt goes."""
    return (
        '{"TransactionType":"Pay Bill","TransID":"%%","TransTime":"20261121121325","TransAmount":"500.00",'
        f'"BusinessShortCode":"{business.shortcode}","BillRefNumber":"VIP{number % 10:03d}","InvoiceNumber":"",'
        '"OrgAccountBalance":"25000.00","ThirdPartyTransID":"","MSISDN":"2547 ***** 126","FirstName":"JOHN",'
        '"MiddleName":"","LastName":""}'
    )


@contextmanager
def process(name: str, arguments: Sequence[str], *, database_url: str, **environment: str) -> Iterator[Process]:
    """One of our processes on the bench's database, ended afterwards."""
    with TemporaryDirectory(prefix="tuzo-bench-") as folder:
        env: Mapping[str, str] = {**os.environ, "DATABASE_URL": database_url, "TUZO_DATA": folder, **environment}
        child = Process(name, [sys.executable, "-m", *arguments], log=Path(folder, f"{name}.log"), env=env, cwd=PROJECT)
        child.start()
        try:
            yield child
        finally:
            child.stop()


@contextmanager
def server(application: str, port: int, *, database_url: str) -> Iterator[Process]:
    """An ASGI application under granian, as production runs it, once it answers."""
    arguments = [
        "granian", "--interface", "asgi", application, "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--loop", "uvloop", "--no-ws",
    ]  # fmt: skip
    with process("web", arguments, database_url=database_url, TUZO_PORT=str(port), LOG_LEVEL="WARNING") as child:

        def answers() -> bool:
            try:
                return requests.get(f"http://127.0.0.1:{port}/health/", timeout=1).status_code < 500
            except requests.RequestException:
                return False

        if not wait_until(answers, timeout_s=30):
            raise RuntimeError(f"{application} does not answer:\n{child.log.read_text()}")
        time.sleep(0.5)
        yield child
