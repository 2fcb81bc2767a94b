"""Downloads of the report's page: the report, the same with its signature, and the script that checks it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from django.conf import settings
from django.http import FileResponse, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext_lazy as _

from migrations_app import report
from migrations_app.models import Batch, ReportKey
from migrations_app.report_format import pieces
from migrations_app.report_signing import archive
from recallops.snapshots import one_moment

NO_KEY = _("There is no report key yet, so nothing can be signed. An administrator makes one under “Report keys”.")
VERIFIER = "verify_report.py"
FILE_PIECE = 64_000  # characters


def plain(batch: Batch) -> HttpResponseBase:
    """Hand out the whole report as a file, while it is read."""
    response = StreamingHttpResponse(_pieces(batch), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{batch.slug}-report.json"'
    return response


def signed(batch: Batch) -> HttpResponseBase:
    """Hand out the report with its signature, while both are made."""
    key = ReportKey.objects.signing()
    if key is None:
        return HttpResponse(str(NO_KEY), status=409, content_type="text/plain; charset=utf-8")
    response = StreamingHttpResponse(_signed(batch, key), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{batch.slug}-report.zip"'
    response["Cache-Control"] = "no-store"
    return response


def verifier() -> FileResponse:
    """Hand out the script."""
    script = (settings.BASE_DIR / "docs" / VERIFIER).open("rb")
    return FileResponse(script, as_attachment=True, filename=VERIFIER, content_type="text/x-python; charset=utf-8")


def _pieces(batch: Batch) -> Iterator[str]:
    """Return the file in pieces big enough for a network, from one snapshot."""
    with one_moment():
        waiting: list[str] = []
        size = 0
        for piece in pieces(report.build(batch, whole=True)):
            waiting.append(piece)
            size += len(piece)
            if size > FILE_PIECE:
                yield "".join(waiting)
                waiting, size = [], 0
        yield "".join([*waiting, "\n"])


def _signed(batch: Batch, key: ReportKey) -> Iterator[bytes]:
    """Return the archive from one snapshot."""
    with one_moment():
        yield from archive(chain(pieces(report.build(batch, whole=True)), ["\n"]), key, batch=batch.slug)
