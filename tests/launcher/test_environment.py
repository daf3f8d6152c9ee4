"""The environment is made, kept, and made again when it has to be, with a stand-in for pip."""

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from config.launcher import environment
from config.launcher.console import CannotContinue, Console

_PIP = """
import sys
if "install" in sys.argv and "broken" in open(sys.argv[-1]).read():
    sys.exit("ERROR: No matching distribution found for broken")
print("pip did", *sys.argv[1:])
"""


class Checkout:
    """A folder with requirement files, and what `ensure` said and did there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("requirements.txt", "# nothing yet\n")
        self.write("requirements-dev.txt", "# nothing yet, for development\n")

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def ensure(self, requirements: str) -> str:
        screen = io.StringIO()
        python = environment.ensure(requirements, Console(screen))
        assert python == self.root / ".venv" / "bin" / "python"
        return screen.getvalue()


def make_venv(venv: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", venv], check=True)
    pip = next((venv / "lib").glob("python3.*")) / "site-packages" / "pip"
    pip.mkdir()
    (pip / "__main__.py").write_text(_PIP)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "_NOTE", tmp_path / ".venv" / "tuzo-installed.json")
    monkeypatch.setattr(environment, "_make_venv", lambda: make_venv(tmp_path / ".venv"))
    return Checkout(tmp_path)


def test_environment_is_made_once_and_follows_its_requirements(checkout: Checkout) -> None:
    first = checkout.ensure("requirements.txt")
    again = checkout.ensure("requirements.txt")
    for_development = checkout.ensure("requirements-dev.txt")
    both = checkout.ensure("requirements.txt") + checkout.ensure("requirements-dev.txt")
    checkout.write("requirements.txt", "# changed\n")
    changed = checkout.ensure("requirements.txt")
    (checkout.root / ".venv" / "bin" / "python").unlink()
    rebuilt = checkout.ensure("requirements.txt")

    assert "Python environment ..." in first
    assert "Packages of requirements.txt ..." in first
    assert again == ""
    assert "Packages of requirements-dev.txt .." in for_development
    assert "Python environment" not in for_development
    assert both == ""
    assert "Packages of requirements.txt ..." in changed
    assert "Python environment ..." in rebuilt


def test_installation_that_failed_is_one_sentence_and_is_tried_again(checkout: Checkout) -> None:
    checkout.write("requirements.txt", "broken\n")
    with pytest.raises(
        CannotContinue, match=r"The packages of requirements.txt can't be installed \(No matching .+\): check .+"
    ):
        checkout.ensure("requirements.txt")
    assert not (checkout.root / ".venv" / "tuzo-installed.json").exists()

    checkout.write("requirements.txt", "# nothing\n")

    assert "Packages of requirements.txt ..." in checkout.ensure("requirements.txt")


def test_missing_requirements_are_named(checkout: Checkout) -> None:
    (checkout.root / "requirements.txt").unlink()

    with pytest.raises(CannotContinue, match=r"requirements.txt can't be read .* the checkout is incomplete\."):
        checkout.ensure("requirements.txt")
    assert not (checkout.root / ".venv").exists()


def test_python_without_ensurepip_names_the_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(CannotContinue, match=r"apt-get install python3\.\d+-venv"):
        environment._make_venv()
    assert not (tmp_path / ".venv").exists()


def test_environment_of_another_python_version_is_installed_again(checkout: Checkout) -> None:
    checkout.ensure("requirements.txt")
    note = checkout.root / ".venv" / "tuzo-installed.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"python": "3.10"}))

    assert "Packages of requirements.txt ..." in checkout.ensure("requirements.txt")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert json.loads(note.read_text())["python"] == version
