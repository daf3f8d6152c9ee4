"""How fast deliveries become durable: beside pgbench on the same PostgreSQL and a bare handler on the same server."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.db import connection

from config.benchmarks import stage
from config.benchmarks.table import Line

CONNECTIONS = 32
BUSINESSES = 100
_VALIDATIONS_PER_SECOND = 50

# One row, one commit, the columns and the body of a delivery: what an ideal handler without Python would do.
_SINGLE_INSERT = """\\set n random(1, 1000000000)
INSERT INTO tenants_inboundcallback (id, tenant_id, channel_id, kind, body, headers, address, address_is_listed,
    received_at, state, reason, error, dedup_key, attempts, due_at)
VALUES (gen_random_uuid(), '{tenant}', '{channel}', 'C2B_CONFIRMATION', convert_to('{body}', 'UTF8'),
    '{{"content-type": "application/json"}}', '127.0.0.1', false, now(), 'PENDING', '', '', '', 0, now());
"""


def run(*, seconds: int) -> list[Line]:
    """Each rate is taken in turn, `seconds` long, in one run on one database."""
    with stage.bench_database() as database_url:
        businesses = stage.make_businesses(BUSINESSES)
        connection.close()
        single = _pgbench(businesses[0], database_url, seconds)
        bare = _bare(businesses, database_url, seconds)
        port = _free_port()
        with stage.server("config.asgi:application", port, database_url=database_url):
            confirmations = [
                [f"/h/{business.token}/c2b-confirmation", stage.confirmation(business, number)]
                for number, business in enumerate(businesses)
            ]
            _load(port, confirmations, seconds=2)  # warm
            saturated_load = _start_load(port, confirmations, seconds=seconds)
            validations = [[path.replace("confirmation", "validation"), body] for path, body in confirmations]
            validated = _load(port, validations, seconds=seconds, connections=4, rate=_VALIDATIONS_PER_SECOND)
            saturated = _finish(saturated_load)
            half = _load(port, confirmations, seconds=seconds, rate=saturated["per_second"] / 2)
    acknowledged = saturated["per_second"]
    lost = saturated["sent"] - saturated["acknowledged"]
    return [
        Line("pgbench, single-row inserts, 32 clients", f"{single:,.0f}/s"),
        Line("bare handler on the same server, 32 connections", f"{bare:,.0f}/s"),
        Line("durable acknowledgements, 32 connections", f"{acknowledged:,.0f}/s"),
        Line("… ÷ pgbench", f"{acknowledged / single:.2f}", "≥ 0.40", acknowledged / single >= 0.40),
        Line("… ÷ bare handler", f"{acknowledged / bare:.2f}"),
        Line("p99 of an acknowledgement at half of that rate", f"{half['p99_ms']} ms", "≤ 20 ms", half["p99_ms"] <= 20),
        Line("p99 under saturation", f"{saturated['p99_ms']} ms", "≤ 100 ms", saturated["p99_ms"] <= 100),
        Line("validation p99 under that load", f"{validated['p99_ms']} ms", "≤ 100 ms", validated["p99_ms"] <= 100),
        Line("slowest validation", f"{validated['worst_ms']} ms", "≤ 2,000 ms", validated["worst_ms"] <= 2000),
        Line("refused or lost", str(lost), "0", lost == 0),
    ]


def _pgbench(business: stage.Business, database_url: str, seconds: int) -> float:
    body = "x" * len(stage.confirmation(business))  # pgbench would read a colon as a variable
    with NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_SINGLE_INSERT.format(tenant=business.tenant.pk, channel=business.channel_id, body=body))
        script.flush()
        pgbench = os.environ.get("PGBENCH") or str(Path(os.environ.get("PGBIN", ""), "pgbench"))
        output = subprocess.run(
            [
                *(pgbench, "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2", "-T", str(seconds)),
                *("-f", script.name, database_url),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    found = re.search(r"tps = ([0-9.]+)", output)
    if found is None:
        raise RuntimeError(f"pgbench did not print its rate:\n{output}")
    return float(found[1])


def _bare(businesses: Sequence[stage.Business], database_url: str, seconds: int) -> float:
    port = _free_port()
    with stage.server("config.benchmarks.bare:application", port, database_url=database_url):
        return float(_load(port, [["/", stage.confirmation(businesses[0])]], seconds=seconds)["per_second"])


def _load(port: int, targets: list[list[str]], **options: Any) -> dict[str, Any]:
    return _finish(_start_load(port, targets, **options))


def _start_load(port: int, targets: list[list[str]], **options: Any) -> "subprocess.Popen[str]":
    given = {"port": port, "targets": targets, "connections": CONNECTIONS} | options
    command = [sys.executable, "-m", "config.benchmarks.load", json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=stage.PROJECT)


def _finish(load: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = load.communicate()
    if load.returncode:
        raise RuntimeError("The load generator failed.")
    answer: dict[str, Any] = json.loads(output)
    return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
