"""The data folder of the demo: what is kept in it, who runs in it, and which environment its processes get.

    demo.json      options, how far it came, what runs: all that a second run needs to know
    secrets.json   the password of the admin, the keys of this installation, the secret of the customer's status link
    clock.json     the domain clock that all processes share
    world.pickle   the sandbox, saved when it ends
    proof.json     the proof, once there is one
    postgres/      the embedded PostgreSQL, unless DATABASE_URL names another
    logs/          what the processes said

Needs nothing of Django.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit, urlunsplit

from cryptography.fernet import Fernet

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = "demo.json"
FOREIGN = "{folder} holds files that are not the demo's. Choose another folder with RECALLOPS_DATA_DIR."
LOCK_FD = "RECALLOPS_DEMO_LOCK"


class DemoError(Exception):
    """The demo cannot go on; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a demo is made of. Two runs with other options are two demos."""

    calendars: int = 200
    customers: int = 12
    events: int = 4000
    seed: int = 1
    hours: float = 6.0  # for how long the world changes
    speed: float = 10.0  # domain seconds in one second of the wall, while there is work
    ics: tuple[str, ...] = ()
    ics_link: str = "missing"

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Options:
        """Return options as they were kept."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in kept.items() if name in known}
        return cls(**{**values, "ics": tuple(values.get("ics", ()))})

    def words(self) -> str:
        """Return them as a command line would say them."""
        said = f"--calendars {self.calendars} --events {self.events} --customers {self.customers} --seed {self.seed}"
        said += f" --hours-of-changes {self.hours:g} --speed {self.speed:g}"
        return f"{said} --ics {' '.join(self.ics)}" if self.ics else said


class Place:
    """The data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / MARK
        self.secrets_file = folder / "secrets.json"
        self.clock_file = folder / "clock.json"
        self.world_file = folder / "world.pickle"
        self.proof_file = folder / "proof.json"
        self.lock_file = folder.with_name(f"{folder.name}.lock")
        self.postgres = folder / "postgres"
        self.logs = folder / "logs"

    # --- who runs here

    def lock(self) -> TextIO | None:
        """Take this place; None when another demo has it. It is free again when its holder ends, however that ends."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        file = self.lock_file.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        return file

    def holder(self) -> int | None:
        """Return the process that has this place, or None."""
        file = self.lock()
        if file is not None:
            file.close()
            return None
        said = self.lock_file.read_text().strip()
        return int(said) if said.isdigit() else None

    # --- what is kept

    def kept(self) -> dict[str, Any]:
        """Return what is written down; empty where nothing is."""
        try:
            found: dict[str, Any] = json.loads(self.record.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise DemoError(f"{self.record} cannot be read ({error}). Start over: make clean-demo.") from error
        return found

    def keep(self, **values: Any) -> None:
        """Write something down beside what is there; None forgets."""
        merged = {name: value for name, value in {**self.kept(), **values}.items() if value is not None}
        write_private(self.record, json.dumps(merged, indent=1))

    def prepare(self, options: Options) -> None:
        """Make the folder for a new demo. Raises DemoError when it holds something else."""
        self._refuse_foreign()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        self.keep(options=asdict(options), phase="making")

    def clear(self) -> None:
        """Remove everything. Raises DemoError when it is not the demo's."""
        self._refuse_foreign()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _refuse_foreign(self) -> None:
        if self.folder.exists() and any(self.folder.iterdir()) and not self.record.exists():
            raise DemoError(FOREIGN.format(folder=self.folder))

    def secrets(self) -> dict[str, str]:
        """Return password and keys, made at the first call."""
        if not self.secrets_file.exists():
            made = {
                "user": "admin",
                "password": secrets.token_urlsafe(9),
                "SECRET_KEY": secrets.token_urlsafe(48),
                "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            }
            write_private(self.secrets_file, json.dumps(made, indent=1))
        found: dict[str, str] = json.loads(self.secrets_file.read_text())
        return found

    def keep_secret(self, **values: str) -> None:
        """Write a secret down beside those that are there."""
        write_private(self.secrets_file, json.dumps({**self.secrets(), **values}, indent=1))

    def environment(self, *, database: str, lock: TextIO | None) -> dict[str, str]:
        """Return the environment of the demo's own processes. Tuning that was set by hand is left as it is."""
        keys = self.secrets()
        given = dict(os.environ)
        given.update(
            RECALLOPS_DATA_DIR=str(self.folder),
            RECALLOPS_CLOCK_FILE=str(self.clock_file),
            SECRET_KEY=keys["SECRET_KEY"],
            ENCRYPTION_KEYS=keys["ENCRYPTION_KEYS"],
            ALLOWED_HOSTS="127.0.0.1,localhost",
            DEBUG="off",
            PYTHONUNBUFFERED="1",
        )
        if database:
            given["DATABASE_URL"] = database
        if lock is not None:
            os.set_inheritable(lock.fileno(), True)
            given[LOCK_FD] = str(lock.fileno())
        else:
            given[LOCK_FD] = "none"
        return TUNING | given


# The workers share two cores with the sandbox, the database and the web server. Nothing here has to survive a power
# cut, so the database need not wait for the disk; it still survives every kill.
TUNING = {
    "DRIVERS": "1",
    "QUEUE_WORKERS": "3",
    "QUEUE_POLL_SECONDS": "0.1",
    "WORKERS_GRACE_SECONDS": "3",
    "EMBEDDED_POSTGRES_OPTIONS": "fsync=off,full_page_writes=off",
    "LOG_LEVEL": "WARNING",
}


def own_database(url: str) -> tuple[str, str]:
    """Return the demo's own database beside the one that DATABASE_URL names: its name and its address."""
    parts = urlsplit(url)
    name = f"{parts.path.strip('/')}_demo"
    return name, urlunsplit(parts._replace(path=f"/{name}"))


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
