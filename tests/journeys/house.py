"""A house that tests may pull down: PostgreSQL and Valkey of its own, a web process, a worker with beat."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests

from config.launcher.processes import wait_until
from config.launcher.services import EmbeddedPostgres, EmbeddedValkey
from tests.journeys.open_shops import COMMAND
from tests.processes import PROJECT, free_port, web_process, worker_process

# Tests end processes, not machines: what PostgreSQL has handed to the kernel survives the former.
_POSTGRES = {"fsync": "off", "full_page_writes": "off"}
_THREADS = 8
_PAUSE_S = 0.04  # between two deliveries of one thread


@dataclass(frozen=True)
class Shop:
    """A business of the house, as `open_shops` made it."""

    schema: str
    shortcode: str
    token: str


@dataclass
class Stream:
    """Confirmations that are on their way to a shop, each with a receipt of its own."""

    sent: dict[str, int] = field(default_factory=dict)  # receipt → KES
    acknowledged: set[str] = field(default_factory=set)

    @property
    def refused(self) -> set[str]:
        return self.sent.keys() - self.acknowledged

    def wait_for(self, count: int, *, seconds: float = 15) -> None:
        """Return when `count` more are acknowledged than now."""
        wanted = len(self.acknowledged) + count
        assert wait_until(lambda: len(self.acknowledged) >= wanted, timeout_s=seconds), f"{wanted} were not reached"


class House:
    def __init__(self, folder: Path, *, shops: int) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres", settings=_POSTGRES)
        self.valkey = EmbeddedValkey(folder / "valkey")
        self.postgres.start()
        self.valkey.start()
        self._port = free_port()
        self.web = web_process(folder, self._port, **self.environment)
        self.worker = worker_process(folder, **self.environment)
        self.shops = iter(self._open_shops(shops))

    @property
    def environment(self) -> Mapping[str, str]:
        return {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.valkey.url}

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def journal(self) -> list[Path]:
        return list((self.folder / "journal").glob("*"))

    def start(self) -> None:
        """Whatever does not run, so that the house is ready for deliveries."""
        for part in (self.postgres, self.valkey, self.web, self.worker):
            if part.pid is None:
                part.start()
        self.web.wait_for(f"{self.base}/health/")

    def close(self) -> None:
        self.web.stop()
        self.worker.stop()
        self.valkey.destroy()
        self.postgres.destroy()

    def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.url) as connection:
            return connection.execute(query, arguments or None).fetchall()

    @contextmanager
    def stream(self, shop: Shop) -> Iterator[Stream]:
        """Send confirmations to a shop while the block runs, from several threads that keep their connections."""
        stream, numbers, stop = Stream(), itertools.count(1), threading.Event()

        def send() -> None:
            with requests.Session() as session:
                while not stop.wait(_PAUSE_S):
                    number = next(numbers)
                    receipt = f"S{shop.shortcode[-2:]}{number:07d}"
                    stream.sent[receipt] = number
                    try:
                        answer = session.post(
                            f"{self.base}/h/{shop.token}/c2b-confirmation",
                            data=confirmation(shop, receipt, number),
                            timeout=10,
                        )
                    except requests.RequestException:
                        continue
                    if answer.ok and answer.json()["ResultCode"] == 0:
                        stream.acknowledged.add(receipt)

        threads = [threading.Thread(target=send) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield stream
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def settle(self, shop: Shop, *, seconds: float = 15) -> None:
        """Return when nothing is left to do for this shop: journal and inbox empty, every payment judged."""
        # What a dead worker held falls free when its lease ends; that is a minute which no test needs to wait.
        self._end_leases()
        assert wait_until(lambda: not self._unfinished(shop), timeout_s=seconds), self._unfinished(shop)

    def _end_leases(self) -> None:
        with psycopg.connect(self.postgres.url) as connection:
            connection.execute("UPDATE tenants_duetask SET leased_until = now() WHERE leased_until > now()")

    def _unfinished(self, shop: Shop) -> dict[str, int]:
        query = f"""
            SELECT (SELECT count(*) FROM tenants_inboundcallback WHERE state = 'PENDING'),
                   (SELECT count(*) FROM tenants_duetask WHERE task = 'loyalty.tasks.award_points'),
                   (SELECT count(*) FROM {shop.schema}.payments_payment AS payment
                     WHERE NOT EXISTS (SELECT FROM {shop.schema}.loyalty_paymentoutcome WHERE payment_id = payment.id))
        """
        ((pending, promised, unjudged),) = self.rows(query)
        left = {"journal": len(self.journal), "inbox": pending, "promises": promised, "payments": unjudged}
        return {name: count for name, count in left.items() if count}

    def _open_shops(self, count: int) -> list[Shop]:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, str(count)],
            cwd=PROJECT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **self.environment},
            check=True,
            stdout=subprocess.PIPE,
        )
        return [Shop(**shop) for shop in json.loads(done.stdout)]


def confirmation(shop: Shop, receipt: str, amount: int) -> bytes:
    """Daraja's body (daraja.md section 8)."""
    return json.dumps(
        {
            "TransactionType": "Pay Bill",
            "TransID": receipt,
            "TransTime": time.strftime("%Y%m%d%H%M%S"),
            "TransAmount": f"{amount}.00",
            "BusinessShortCode": shop.shortcode,
            "BillRefNumber": f"CARD{amount % 5}",
            "InvoiceNumber": "",
            "OrgAccountBalance": "",
            "ThirdPartyTransID": "",
            "MSISDN": "2547 ***** 149",
            "FirstName": "JOHN",
            "MiddleName": "",
            "LastName": "",
        }
    ).encode()
