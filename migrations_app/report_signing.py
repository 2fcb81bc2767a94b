"""Signed reports: a report's exact bytes, and beside them a statement about them, signed with Ed25519.

The report is streamed, so its SHA-512 and its length are taken on the way and stand in the statement: a few lines of
text, which are what is signed. `docs/verify_report.py` checks all of it with nothing but Python.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry
from migrations_app.models import ReportKey
from recallops import clock

FORMAT = "recallops-report-signature-1"
FIELDS = ("file", "bytes", "sha512", "batch", "signed_at", "key")
PIECE = 64_000
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # an archive says nothing of the wall's time
README = """\
{file}      the report
{file}.sig  its signature

Check both with verify_report.py, which the report's page offers for download (take it from there or from the project,
not from whoever gave you this file):

    python -I verify_report.py {archive} --key PUBLIC_KEY

PUBLIC_KEY is on the page "Report keys" of the installation that made it.
"""

GONE_ALREADY = _("It was retired already.")
RETIRED = _("Retired: it signs nothing any more. What it signed can still be checked.")


class Signer:
    """Takes the bytes of a report as they pass, and signs what they were."""

    def __init__(self, key: ReportKey, *, file: str, batch: str) -> None:
        self._key, self._file, self._batch = key, file, batch
        self._digest, self._size = hashlib.sha512(), 0

    def update(self, piece: bytes) -> bytes:
        """Take a piece, and hand it on."""
        self._digest.update(piece)
        self._size += len(piece)
        return piece

    def finish(self) -> bytes:
        """Return the signature file."""
        claims: dict[str, Any] = {
            "file": self._file,
            "bytes": self._size,
            "sha512": self._digest.hexdigest(),
            "batch": self._batch,
            "signed_at": clock.now().isoformat(),
            "key": self._key.key_id,
        }
        signed = {"public_key": self._key.public, "signature": self._key.sign(statement(claims))}
        return (json.dumps({"format": FORMAT, **claims, **signed}, indent=1) + "\n").encode()


def statement(claims: dict[str, Any]) -> bytes:
    """Return the text that is signed: one line for each claim, in this order."""
    return "".join([f"{FORMAT}\n", *(f"{name}: {claims[name]}\n" for name in FIELDS)]).encode()


def archive(pieces: Iterable[str], key: ReportKey, *, batch: str) -> Iterator[bytes]:
    """Return a ZIP archive of a report and its signature, while the report is read."""
    name = f"{batch}-report.json"
    signer = Signer(key, file=name, batch=batch)
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as made:
        with made.open(_entry(name), "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(signer.update(piece.encode()))
                if outlet.tell_held() > PIECE:
                    yield outlet.take()
        made.writestr(_entry(f"{name}.sig"), signer.finish())
        made.writestr(_entry("README.txt"), README.format(file=name, archive=f"{batch}-report.zip"))
    yield outlet.take()


def sign_file(path: Path, *, batch: str) -> Path | None:
    """Write the signature of a report beside it; where no key signs, take away an older one. Returns its path."""
    beside = path.with_name(f"{path.name}.sig")
    beside.unlink(missing_ok=True)
    key = ReportKey.objects.signing()
    if key is None:
        return None
    signer = Signer(key, file=path.name, batch=batch)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            signer.update(piece)
    beside.write_bytes(signer.finish())
    return beside


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, ZIP_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


class _Outlet(io.RawIOBase):
    """Where an archive is written to that nobody may seek in: what was written is taken away piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def tell_held(self) -> int:
        """Return how much waits to be taken."""
        return len(self._held)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = bytes(self._held)
        self._held.clear()
        return taken


# --- keys


def make_key(*, label: str, actor: Any) -> ReportKey:
    """Make a key, which signs from now on."""
    key = ReportKey(label=label, made_by=actor if getattr(actor, "pk", None) else None)
    key.fill()
    with transaction.atomic():
        key.save(force_insert=True)
        AuditEntry.objects.record(actor=actor, action="reportkey.add", subject=key, after=key.public)
    return key


def retire(key: ReportKey, *, actor: Any, reason: str) -> str:
    """Let a key sign nothing any more; return a sentence."""
    with transaction.atomic():
        if not ReportKey.objects.filter(pk=key.pk, retired_at=None).update(retired_at=clock.now()):
            return str(GONE_ALREADY)
        AuditEntry.objects.record(actor=actor, action="reportkey.retire", subject=key, reason=reason)
    return str(RETIRED)
