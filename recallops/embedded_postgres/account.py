"""As whom the server runs, and what must be opened for that.

PostgreSQL refuses to run as root. Started by root it runs under an account without privileges, which has to reach its
programs and its data: the folders on the way get the right to be passed through ("x" for others), nothing more, and
each such change is said.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recallops.embedded_postgres.errors import EmbeddedPostgresError

logger = logging.getLogger(__name__)

ACCOUNT = "recallops-postgres"
FALLBACK = "nobody"
ACCOUNTS = Path("/etc/passwd")
NO_ACCOUNT = (
    "PostgreSQL does not run as root, and no account could be found for it: there is neither `useradd`, to add "
    f'"{ACCOUNT}", nor the account "{FALLBACK}". Run as another user than root, or set DATABASE_URL.'
)
FOREIGN = (
    "The database folder {folder} belongs to the user {owner}, and this is {me}. Run as {owner}, or choose another "
    "folder with RECALLOPS_DATA_DIR."
)
OPENED = (
    "Started as root: the embedded PostgreSQL runs as %s, so these folders can now be passed through by all users of "
    "this machine (listing them is as before): %s"
)


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int

    def as_arguments(self) -> dict[str, Any]:
        """Return the arguments that make `subprocess.run` run as this user; none if we are this user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account_for(folder: Path) -> Account:
    """Return the account that runs the server of a data folder: its owner, or the one that a new folder shall have."""
    me = os.geteuid()
    if folder.exists():
        owner = folder.stat().st_uid
        if owner != me and me != 0:
            raise EmbeddedPostgresError(FOREIGN.format(folder=folder, owner=_name(owner), me=_name(me)))
        if owner != 0:
            return Account(_name(owner), owner, folder.stat().st_gid)
    return _unprivileged() if me == 0 else Account(_name(me), me, os.getegid())


def let_through(account: Account, *paths: Path) -> None:
    """Let an account pass through the folders above some paths, and say which folders were changed."""
    if account.uid == os.geteuid():
        return
    opened = []
    for path in paths:
        for folder in path.resolve().parents:
            mode = folder.stat().st_mode
            if folder.stat().st_uid != account.uid and not mode & stat.S_IXOTH:
                folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
                opened.append(str(folder))
    if opened:
        logger.warning(OPENED, account.name, ", ".join(opened))


def let_read(account: Account, tree: Path) -> None:
    """Let an account read a tree of programs that was unpacked under a narrow umask."""
    if account.uid == os.geteuid() or tree.stat().st_mode & stat.S_IXOTH:
        return
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def _unprivileged() -> Account:
    """Find or add the account under which root lets the server run; nothing that root owns is given to it."""
    if _find(ACCOUNT) is None and (useradd := shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")):
        _add(useradd)
    account = _find(ACCOUNT) or _find(FALLBACK)
    if account is None:
        raise EmbeddedPostgresError(NO_ACCOUNT)
    return account


def _add(useradd: str) -> None:
    """Add the account, one process at a time: of two that add one name, the later replaces the earlier's number."""
    command = [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false", ACCOUNT]
    with ACCOUNTS.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _find(ACCOUNT) is None:
            subprocess.run(command, check=False, capture_output=True)  # noqa: S603 (our own words)


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)
