"""`./tuzo faults`: break the stack on purpose, from a seed, and compare its books with the simulator's."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.faults.plan import Measures
from tests.faults.report import as_text
from tests.faults.run import run

_PATIENCE_S = 480


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    minutes = given.minutes
    measures = Measures(
        seconds=minutes * 60,
        payouts=given.payouts or round(minutes * 300),
        payments=given.payments or round(minutes * 700),
        kills=given.kills if given.kills is not None else max(5, round(minutes * 2)),
        businesses=given.businesses,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    place = Path(os.environ.get("TUZO_DATA") or tempfile.gettempdir())
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"faults-{given.seed}-", dir=place))
    folder.chmod(0o755)  # PostgreSQL may run as another user
    sys.stdout.write(f"Running; what the processes say is in {folder}.\n")
    sys.stdout.flush()
    is_right = False
    try:
        result = run(folder, seed=given.seed, measures=measures, patience_s=_PATIENCE_S)
        is_right = not result.wrong
        sys.stdout.write(as_text(result) + "\n")
    finally:
        if is_right:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            again = " ".join(arguments)
            sys.stdout.write(f"The logs are kept in {folder}. Again: ./tuzo faults {again}\n")
    return 0 if is_right else 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./tuzo faults",
        description="Run the whole stack while M-PESA misbehaves and processes are killed, then compare the books.",
    )
    parser.add_argument("--seed", type=int, default=1, help="decides everything that is planned")
    parser.add_argument("--minutes", type=float, default=2, help="how long money moves under faults")
    parser.add_argument("--payouts", type=int, help="300 a minute")
    parser.add_argument("--payments", type=int, help="700 a minute")
    parser.add_argument("--kills", type=int, help="2 a minute, and at least 5")
    parser.add_argument("--businesses", type=int, default=3)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
