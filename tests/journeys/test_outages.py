"""Whatever falls over while deliveries arrive: what was acknowledged is a payment, once, and earned its points once.

A house of its own takes a stream of confirmations; a part of it is ended; then everything runs again and the books are
compared with what the sender knows.
"""

import time

import psycopg
import pytest

from config.launcher.processes import wait_until
from tests.journeys.house import House

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("house"), shops=5)
    yield house
    house.close()


@pytest.fixture
def house(built):
    built.start()
    return built


def assert_recorded_once(house, shop, stream):
    """The shop's books hold what was acknowledged, at most what was sent, and agree with themselves."""
    house.settle(shop)
    receipts = [receipt for (receipt,) in house.rows(f"SELECT receipt FROM {shop.schema}.payments_payment")]
    amounts = {receipt: stream.sent[receipt] for receipt in receipts}

    assert len(receipts) == len(set(receipts))
    assert stream.acknowledged <= set(receipts) <= stream.sent.keys()
    assert house.rows(f"SELECT sum(payment_count)::int, sum(amount)::int FROM {shop.schema}.payments_daytotal") == [
        (len(receipts), sum(amounts.values()))
    ]
    assert sorted(
        house.rows(
            "SELECT payment.receipt, entry.points::int"
            f" FROM {shop.schema}.loyalty_pointsentry AS entry"
            f" JOIN {shop.schema}.payments_payment AS payment ON payment.id = entry.payment_id"
        )
    ) == sorted(amounts.items())
    assert house.rows(f"SELECT sum(points_balance)::int FROM {shop.schema}.loyalty_member") == [
        (sum(amounts.values()),)
    ]
    assert house.rows(
        "SELECT state, reason, count(*)::int FROM tenants_inboundcallback AS inbox"
        " JOIN tenants_tenant AS tenant ON tenant.id = inbox.tenant_id WHERE tenant.schema_name = %s GROUP BY 1, 2",
        shop.schema,
    ) == [("APPLIED", "", len(receipts))]
    assert house.rows("SELECT count(*)::int FROM tenants_inboundcallback WHERE tenant_id IS NULL") == [(0,)]
    assert house.journal == []
    return set(receipts)


def test_valkey_stops_and_comes_back(house):
    shop = next(house.shops)
    with house.stream(shop) as stream:
        stream.wait_for(100)
        house.valkey.stop()
        stream.wait_for(200)
        house.valkey.start()
        stream.wait_for(100)

    assert stream.refused == set()
    assert assert_recorded_once(house, shop, stream) == stream.acknowledged


def test_postgresql_is_killed_and_starts_again(house):
    shop = next(house.shops)
    with house.stream(shop) as stream:
        stream.wait_for(100)
        house.postgres.kill()
        stream.wait_for(100)
        assert house.journal
        time.sleep(3)
        house.postgres.start()
        stream.wait_for(100)

    assert stream.refused == set()
    assert assert_recorded_once(house, shop, stream) == stream.acknowledged


def test_the_web_process_starts_while_postgresql_is_away(house):
    """It knows no route, so it can't say whose a delivery is: it is kept, and routed later."""
    shop = next(house.shops)
    house.postgres.stop()
    house.web.kill()
    house.web.start()
    with house.stream(shop) as stream:
        stream.wait_for(100)
        assert house.journal
        house.postgres.start()
        stream.wait_for(100)

    assert assert_recorded_once(house, shop, stream) == stream.acknowledged


def test_the_web_process_is_killed_while_it_writes_the_journal(house):
    shop = next(house.shops)
    with house.stream(shop) as stream:
        stream.wait_for(50)
        house.postgres.kill()
        stream.wait_for(100)
        house.web.kill()
        house.web.start()
        stream.wait_for(100)
        house.web.kill()
        house.postgres.start()
        house.web.start()
        stream.wait_for(100)

    assert len(stream.acknowledged) >= 350
    assert_recorded_once(house, shop, stream)


def test_the_worker_is_killed_in_the_middle_of_a_batch(house):
    shop = next(house.shops)
    with psycopg.connect(house.postgres.url) as somebody:  # holds what the batch wants to change after its payments
        somebody.execute("SELECT FROM tenants_tenantactivity FOR UPDATE")
        with house.stream(shop) as stream:
            stream.wait_for(200)
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tenantactivity%'"
        assert wait_until(lambda: house.rows(waits) != [], timeout_s=10)
        house.worker.kill()
    assert house.rows(f"SELECT count(*)::int FROM {shop.schema}.payments_payment") == [(0,)]

    house.worker.start()
    assert stream.refused == set()
    assert assert_recorded_once(house, shop, stream) == stream.acknowledged
