"""Finds the sentences of status pages and compiles their translations: `make messages`.

GNU gettext's formats without GNU gettext: Babel reads and writes them, Django makes of templates what Babel can read.
Sentences that are new come into the catalogues without a translation; those that are not said any more leave them.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = (
    *("migrations_app/status/**/*.py", "templates/status/**/*"),
    *("migrations_app/mail/links.py", "migrations_app/mail/subscribing.py"),
)
FOLDER = ROOT / "migrations_app" / "status" / "locale"
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    **{f"{name}_lazy": DEFAULT_KEYWORDS[name] for name in ("gettext", "ngettext", "pgettext")},
}
HEADER = {
    "header_comment": "# Status pages in another language: docs/status.md. The sentences come from `make messages`.",
    "project": "RecallOps",
    "version": "status pages",
    "msgid_bugs_address": "CONTRIBUTING.md",
    "last_translator": "RecallOps",
    "language_team": "RecallOps",
    "fuzzy": False,
}


def languages() -> list[str]:
    """Return the languages that have a catalogue. English has none: it is what stands in the code."""
    return sorted(path.name for path in FOLDER.iterdir())


def po_path(language: str) -> Path:
    """Return where translations are written."""
    return FOLDER / language / "LC_MESSAGES" / "django.po"


def said() -> Catalog:
    """Return every sentence of status pages, with the files that say it."""
    found = Catalog()
    for path in sorted({path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()}):
        name = str(path.relative_to(ROOT))
        for _line, words, _comments, context in extract("python", io.BytesIO(_code(path).encode()), KEYWORDS):
            found.add(words, context=context, locations=[(name, 0)])
    return found


def _code(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text()
    return f"({templatize(path.read_text(), origin=str(path))})"  # in brackets no indentation matters


def translated(language: str) -> Catalog:
    """Return a catalogue as it is."""
    with po_path(language).open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def compiled(catalogue: Catalog) -> bytes:
    """Return what Django reads."""
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def renew(language: str) -> int:
    """Bring a catalogue up to date, and compile it; return how many sentences it does not translate."""
    path, sentences = po_path(language), said()
    catalogue = translated(language) if path.exists() else Catalog(language, revision_date=datetime.now(UTC), **HEADER)
    sentences.creation_date = catalogue.creation_date  # or else it would change each time
    catalogue.update(sentences, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    file = io.BytesIO()
    write_po(file, catalogue, width=120, include_lineno=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())
    path.with_suffix(".mo").write_bytes(compiled(catalogue))
    return sum(not all(forms(message)) for message in catalogue if message.id)


def forms(message: Message) -> tuple[str, ...]:
    """Return a translation: one text, or one for each of the language's numbers."""
    return message.string if isinstance(message.string, tuple) else (message.string,)


def main(names: list[str]) -> None:
    """Renew all catalogues, and those of new languages."""
    settings.configure(USE_I18N=False)
    for language in sorted({*languages(), *names}):
        missing = renew(language)
        state = f"{missing} sentences to translate" if missing else "complete"
        sys.stdout.write(f"{po_path(language).relative_to(ROOT)}: {state}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
