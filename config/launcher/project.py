"""One checkout: where its things are, and the environment that its processes get."""

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.launcher.console import CannotContinue

ROOT = Path(__file__).resolve().parents[2]
_REQUIRED_IN_PRODUCTION = ("SECRET_KEY", "ENCRYPTION_KEYS", "AUDIT_KEY", "DATABASE_URL", "REDIS_URL")


@dataclass(frozen=True)
class Project:
    """A checkout with a folder for its data.

    `given` is what the person decided: the environment, over the checkout's .env file.
    """

    data: Path
    given: dict[str, str] = field(repr=False)

    @classmethod
    def here(cls) -> "Project":
        """:raises CannotContinue: if the .env file can't be read."""
        given = _read_variables(ROOT / ".env") | {name: value for name, value in os.environ.items() if value}
        return cls(data=(ROOT / given.get("TUZO_DATA", ".tuzo")).absolute(), given=given)

    def for_tests(self) -> "Project":
        """The same checkout with other data, so that tests run beside a running stack and never touch its data.

        A developer's .env stays out: tests promise the same everywhere.
        """
        data = self.data / "test"
        given = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        return Project(data=data, given=given | {"TUZO_ENV": "test"})

    @property
    def in_production(self) -> bool:
        return self.given.get("TUZO_ENV") == "production"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def port(self) -> int:
        """:raises CannotContinue: if TUZO_PORT is not a port."""
        text = self.given.get("TUZO_PORT", "8000")
        if not text.isdecimal() or not 1 <= int(text) <= 65534:
            raise CannotContinue(f"TUZO_PORT must be a number from 1 to 65534, not {text!r}.")
        return int(text)

    def environment(self, port: int) -> dict[str, str]:
        """What every process of this checkout gets, except the URLs of the database and of Redis.

        In production nothing is invented.

        :raises CannotContinue: if the data folder can't be written, or production lacks what it must be given.
        """
        if self.in_production:
            missing = [name for name in _REQUIRED_IN_PRODUCTION if name not in self.given]
            if missing:
                raise CannotContinue(
                    f"In production ./tuzo invents no secrets and no database: set {', '.join(missing)} "
                    "in the environment (.env.example explains each)."
                )
            return self.given | {"TUZO_DATA": str(self.data), "TUZO_PORT": str(port)}
        ours = {
            "TUZO_ENV": "development",
            "PYTHONUNBUFFERED": "1",
            "SIMULATOR_URL": f"http://127.0.0.1:{port + 1}",
        } | self._secrets()
        return ours | self.given | {"TUZO_DATA": str(self.data), "TUZO_PORT": str(port)}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what goes wrong with the data folder into a sentence."""
        try:
            yield
        except OSError as error:
            raise CannotContinue(
                f"The data folder {self.data} can't be used ({error.strerror}: {error.filename}): "
                "make it writable, or name another one in TUZO_DATA."
            ) from None

    def _secrets(self) -> dict[str, str]:
        """This checkout's own secrets, made on first use."""
        path = self.data / "secrets.env"
        with self.writing():
            self.data.mkdir(parents=True, exist_ok=True)
            with alone_in(self.data):
                if not path.exists():
                    draft = path.with_name("secrets.env.new")
                    draft.touch(mode=0o600)
                    draft.write_text("".join(f"{name}={value}\n" for name, value in _invent().items()))
                    draft.replace(path)
        return _read_variables(path)


def _invent() -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AUDIT_KEY": secrets.token_urlsafe(48),
        "SIMULATOR_CONTROL_TOKEN": secrets.token_urlsafe(24),
    }


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make other ./tuzo commands wait that want the same: two in a fresh checkout must not both set it up."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read_variables(path: Path) -> dict[str, str]:
    """The NAME=value lines of a file; comments, `export` and quotes around a value are understood."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise CannotContinue(f"{path} can't be read ({error}): correct it or remove it.") from None
    pairs = [line.strip().removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#")]
    return {name.strip(): value.strip().strip("\"'") for name, equals, value in pairs if equals and value.strip()}
