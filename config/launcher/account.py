"""PostgreSQL refuses to run as root: as which other user, and where may that user work?"""

import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from config.launcher.console import CannotContinue
from config.launcher.processes import Account, run_as

# For root alone: the place for what the other user can't reach where it is, such as anything below /root.
SYSTEM_DATA = Path("/var/lib/tuzo")
_USER = "tuzo-postgres"


def account_for(data_dir: Path) -> Account | None:
    """Whom PostgreSQL must run as; None if that is ourselves.

    As root: the owner of the data if it is there already, else a system user of its own, which is made when it
    is missing; `nobody` where users can't be made.
    """
    if os.geteuid() != 0:
        return None
    for folder in (data_dir, _elsewhere(data_dir)):
        if folder.exists() and folder.stat().st_uid != 0:
            return Account(folder.stat().st_uid, folder.stat().st_gid)
    if shutil.which("useradd") and not _has_user(_USER):
        command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", _USER], capture_output=True)
    user = pwd.getpwnam(_USER if _has_user(_USER) else "nobody")
    return Account(user.pw_uid, user.pw_gid)


def place_for(data_dir: Path, account: Account | None) -> Path:
    """The folder that holds the data: the one asked for, or one below /var/lib/tuzo that the account can reach."""
    elsewhere = _elsewhere(data_dir)
    if account is None or (not elsewhere.exists() and _can(account, "test", "-x", str(data_dir.parent))):
        return data_dir
    _make_system_data()
    return elsewhere


def places_of(data_dir: Path) -> list[Path]:
    """Every folder that `place_for` may have answered."""
    return [data_dir, _elsewhere(data_dir)]


def programs_for(bin_dir: Path, account: Account | None) -> Path:
    """PostgreSQL's programs where the account can run them: as installed, or a copy made once.

    :raises CannotContinue: if they run nowhere.
    """
    if account is None or _can(account, str(bin_dir / "postgres"), "--version"):
        return bin_dir
    # The programs find their libraries by relative paths, so the copy keeps the wheel's layout.
    install, package = bin_dir.parent, bin_dir.parents[1]
    version = (bin_dir / "postgres").stat().st_mtime_ns
    copy = SYSTEM_DATA / f"postgresql-{_short_hash(f'{bin_dir} {version}')}"
    if not copy.exists():
        _make_system_data()
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(install, draft / package.name / install.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        _open_to_all(draft)
        draft.rename(copy)
    programs = copy / package.name / install.name / "bin"
    if not _can(account, str(programs / "postgres"), "--version"):
        raise CannotContinue(
            f"PostgreSQL does not run as root, and user number {account.uid} can't run {programs}: "
            "run ./tuzo as an ordinary user, or set DATABASE_URL."
        )
    return programs


def _elsewhere(data_dir: Path) -> Path:
    return SYSTEM_DATA / _short_hash(str(data_dir))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _has_user(name: str) -> bool:
    return any(user.pw_name == name for user in pwd.getpwall())


def _can(account: Account, *argv: str) -> bool:
    try:
        return subprocess.run(argv, cwd="/", capture_output=True, **run_as(account)).returncode == 0
    except PermissionError:
        return False


def _make_system_data() -> None:
    try:
        SYSTEM_DATA.mkdir(parents=True, exist_ok=True)
        SYSTEM_DATA.chmod(0o755)
    except OSError as error:
        raise CannotContinue(
            f"PostgreSQL does not run as root, and {SYSTEM_DATA} for its own user can't be made ({error.strerror}): "
            "run ./tuzo as an ordinary user, or set DATABASE_URL."
        ) from None


def _open_to_all(folder: Path) -> None:
    """Undo a private umask, or a private original."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
