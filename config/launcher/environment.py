"""The checkout's virtual environment, with exactly the pinned packages."""

import hashlib
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from config.launcher.console import CannotContinue, Console
from config.launcher.processes import die_with_parent
from config.launcher.project import ROOT, alone_in

VENV = ROOT / ".venv"
RUN = "requirements.txt"
CHECK = "requirements-dev.txt"  # holds everything of requirements.txt too
_NOTE = VENV / "tuzo-installed.json"


def ensure(requirements: str, console: Console) -> Path:
    """Make the environment hold what the file says, and return its Python.

    Nothing happens if it was installed from the same file before; what was interrupted is done again.

    :raises CannotContinue: if it can't be made.
    """
    python = VENV / "bin" / "python"
    with alone_in(ROOT):
        wanted = _hash_of(requirements)
        version = _version_of(python)
        note = _installed()
        if version and note.get("python") == version and note.get(requirements) == wanted:
            return python
        if not version or not _runs(python, "-I", "-m", "pip", "--version"):
            with console.step("Python environment"):
                _make_venv()
        with console.step(f"Packages of {requirements}") as show:
            _install(python, requirements, show)
        files = (RUN, CHECK) if requirements == CHECK else (RUN,)
        _NOTE.write_text(
            json.dumps({"python": _version_of(python)} | {name: _hash_of(name) for name in files}), encoding="utf-8"
        )
    return python


def _installed() -> dict[str, str]:
    try:
        note = json.loads(_NOTE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _hash_of(requirements: str) -> str:
    try:
        return hashlib.sha256((ROOT / requirements).read_bytes()).hexdigest()
    except OSError as error:
        raise CannotContinue(f"{requirements} can't be read ({error.strerror}): the checkout is incomplete.") from None


def _version_of(python: Path) -> str:
    """Like "3.11"; empty if there is no such Python, as after its removal from the system."""
    return _output(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()


def _runs(python: Path, *args: str) -> bool:
    return bool(_output(python, *args))


def _output(python: Path, *args: str) -> str:
    try:
        return subprocess.run([python, *args], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def _make_venv() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise CannotContinue(
            f"{sys.executable} can't make virtual environments: install its venv package "
            f"(on Debian and Ubuntu: apt-get install python{version}-venv) and run this again."
        )
    if VENV.is_dir() and not VENV.is_symlink():
        shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True)
    if made.returncode:
        said = (made.stdout + made.stderr).strip().splitlines()
        raise CannotContinue(f"The environment {VENV} can't be made: {said[-1] if said else 'no reason given'}.")


def _install(python: Path, requirements: str, show: Callable[[str], None]) -> None:
    # Isolated (-I), so that a PYTHONPATH in the person's environment brings no other pip.
    command = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--require-hashes", "-r", requirements]
    log = VENV / "pip.log"
    pip = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    with pip, log.open("w", encoding="utf-8") as said:
        for line in pip.stdout or ():
            said.write(line)
            show(line.strip().partition(" (")[0])
    if pip.returncode == 0:
        return
    errors = [line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("ERROR")]
    reason = errors[-1].removeprefix("ERROR: ") if errors else "no reason given"
    raise CannotContinue(
        f"The packages of {requirements} can't be installed ({reason}): check the connection to the package index "
        f"and run this again; pip's own words are in {log}."
    )
