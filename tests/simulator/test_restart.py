import os
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_books_keys_and_what_was_due_outlive_a_kill(own, shop, receiver, customer):
    shop.register()
    receipt = shop.is_paid(customer, 5000, fault="callback_late;seconds=1").json()["receipt"]
    ids = shop.push(customer).json()
    credential = shop.credential()

    own.kill()
    own.start()

    assert receiver.wait("confirmation")[0].body["TransID"] == receipt
    assert shop.books()["completed"] == {"count": 1, "total": "5000.00"}
    assert shop.query(ids["CheckoutRequestID"]).json()["ResultCode"] == "4999"
    assert shop.answer(ids["CheckoutRequestID"], "pin").json()["result_code"] == "0"
    assert receiver.wait("stk")[0].body["Body"]["stkCallback"]["ResultCode"] == 0
    shop.balance(SecurityCredential=credential)
    assert receiver.wait("result")[0].body["Result"]["ResultCode"] == 0


def test_stopping_is_quick_and_clean_while_a_receiver_hangs(own, shop, receiver, customer):
    receiver.pauses["confirmation"] = 3
    shop.register()
    shop.is_paid(customer)
    receiver.wait("confirmation")

    began = time.monotonic()
    status = own.stop()

    assert status == 0
    assert time.monotonic() - began < 5


def test_reset_empties_the_books(own, shop, customer):
    shop.is_paid(customer)

    assert own.control("POST", "/reset").status_code == 204

    assert own.control("GET", "/ledger").json() == {
        "organisations": [],
        "spent_by_customers": "0.00",
        "charges_collected": "0.00",
        "tax_collected": "0.00",
        "issued": "0.00",
        "sum": "0.00",
        "payments": [],
        "orders": [],
        "till_requests": [],
    }
    assert own.control("GET", "/payments").json() == {"payments": []}


def test_production_does_not_start_without_a_control_token(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "SIMULATOR_CONTROL_TOKEN"}

    tried = subprocess.run(
        [sys.executable, "-c", "from channels.simulator import simulator; simulator.from_environment()"],
        cwd=PROJECT,
        env={**environment, "TUZO_ENV": "production", "TUZO_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert tried.returncode != 0
    assert "Set SIMULATOR_CONTROL_TOKEN; production has no default for it." in tried.stderr
    assert not (tmp_path / "simulator").exists()
