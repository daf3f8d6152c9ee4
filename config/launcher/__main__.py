"""The command line of `./tuzo`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from config.launcher import checks, commands, environment, logs
from config.launcher.console import CannotContinue, Console
from config.launcher.project import Project
from config.launcher.up import up

# Set when the system's Python has handed over to the checkout's own; its value is when it all began.
_BEGAN_AT = "_TUZO_BEGAN_AT"
_PASSED_ON = {
    "manage": "run a Django command: ./tuzo manage migrate",
    "shell": "open a Python shell with the models",
    "psql": "open the database",
    "bench": "measure: ./tuzo bench ingest",
    "demo": "play the demo's two stories, or make a large business: ./tuzo demo --payments 100000",
    "screenshots": "take pictures of the main pages of the demo that ./tuzo up runs, into docs/screenshots/",
    "test": "run the test suite; options go to pytest",
    "faults": "break things on purpose, then compare the books: ./tuzo faults --seed 1 --minutes 2",
}


def main(arguments: Sequence[str]) -> int:
    handed_over = os.environ.pop(_BEGAN_AT, None)
    began_at = float(handed_over or time.time())
    options = _parse(arguments)
    # Where a program's own output may be read by another program, the launcher speaks on the other stream.
    console = Console(sys.stderr if options.command in {"manage", "shell", "psql", "bench"} else sys.stdout)
    try:
        if handed_over is None and options.command not in {"logs", "pay"}:
            requirements = (
                environment.CHECK
                if options.command in {"test", "faults", "check", "bench", "screenshots"}
                else environment.RUN
            )
            python = environment.ensure(requirements, console)
            commands.replace_by_python(python, arguments, {_BEGAN_AT: str(began_at)})
        return _run(options, console, began_at)
    except CannotContinue as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(options: argparse.Namespace, console: Console, began_at: float) -> int:
    project = Project.here()
    match options.command:
        case "up":
            port = options.port or project.port()
            return up(project, console, port=port, fresh=options.fresh, verbose=options.verbose, began_at=began_at)
        case "manage":
            return commands.manage(project, console, options.arguments)
        case "demo" | "screenshots":
            return commands.manage(project, console, [options.command, *options.arguments])
        case "shell":
            return commands.manage(project, console, ["shell", *options.arguments])
        case "psql":
            return commands.psql(project, console, options.arguments)
        case "bench":
            return commands.bench(project, console, options.arguments)
        case "test":
            return commands.test(project, console, options.arguments)
        case "faults":
            return commands.faults(project, options.arguments)
        case "check":
            return checks.check(console)
        case "logs":
            logs.show(project.logs, options.process, follow=options.follow, console=console)
            return 0
        case _:
            payment = {
                "shortcode": options.shortcode,
                "account_reference": options.account,
                "amount": options.amount,
                "phone_number": options.phone,
            }
            return commands.pay(project, console, payment | ({"first_name": options.name} if options.name else {}))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./tuzo", description="Everything that is done with this checkout of Tuzo.")
    parsers = parser.add_subparsers(dest="command", metavar="command")

    run = parsers.add_parser("up", help="run the platform until Ctrl-C")
    run.add_argument("--port", type=_port, help="the web's port; the simulator takes the next one (8000, or TUZO_PORT)")
    run.add_argument("--fresh", action="store_true", help="begin with new data")
    run.add_argument("--verbose", action="store_true", help="show all that the processes say")

    paying = parsers.add_parser("pay", help="pay as a customer, on the simulator")
    for name in ("shortcode", "amount", "phone"):
        paying.add_argument(f"--{name}", required=True)
    paying.add_argument("--account", default="", help="what the customer types as account number; a till has none")
    paying.add_argument("--name", help="the payer's first name")

    reading = parsers.add_parser("logs", help="show what the processes say")
    reading.add_argument("process", nargs="?", help="web, worker, beat, simulator, postgres, valkey or prepare")
    reading.add_argument("-f", "--follow", action="store_true", help="go on showing what comes")

    parsers.add_parser("check", help="run the linters, the type checker and the other checks")
    for name, explanation in _PASSED_ON.items():
        parsers.add_parser(name, help=explanation, add_help=False)

    if not arguments:
        parser.print_help()
        parser.exit(2)
    # What comes after these commands is theirs, options included; argparse would take some for its own.
    if arguments and arguments[0] in _PASSED_ON:
        return argparse.Namespace(command=arguments[0], arguments=list(arguments[1:]))
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65534:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 65534")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
