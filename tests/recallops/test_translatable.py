"""Every sentence that a page says can be translated: a walk over templates and admin modules finds the others.

In templates: all text between tags, and the attributes that are read out. In modules: constants with words in them,
descriptions, labels and helps, headings and badges.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.conftest import ROOT

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
MODULES = sorted(
    [*(ROOT / "calendars/admin").glob("*.py"), *(ROOT / "migrations_app/admin").glob("*.py")]
    + [path for path in (ROOT / "recallops").glob("admin*.py") if path.name != "admin_look.py"]
)

WORD = re.compile(r"[^\W\d_]{2,}")
SQL = re.compile(r"\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b")
FILE = re.compile(r"\b[\w-]+\.(?:csv|json|py)\b")
READ_OUT = {"alt", "aria-label", "aria-description", "placeholder", "title"}
MARKED = re.compile(
    r"{%\s*(?:blocktrans(?:late)?)\b.*?{%\s*endblocktrans(?:late)?\s*%}|{%\s*comment\b.*?{%\s*endcomment\s*%}", re.S
)
TAGS = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.S)
SAME_EVERYWHERE = {"UTC", "https", "API", "CSV", "XLSX", "JSON", "Excel", "URL"}

MARKING = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "npgettext_lazy", "pgettext", "pgettext_lazy"}
SAID = {"description", "label", "help_text", "placeholder", "verbose_name", "empty_label"}
"""Keywords whose text somebody reads."""
SAID_AT = {"badge": 0, "moment": 1, "coloured": 2, "table": 0}
"""Functions of ours, and which argument somebody reads."""


def _words(text: str) -> list[str]:
    """Return the words of a text that another language has others for."""
    return [word for word in WORD.findall(FILE.sub("", text)) if word not in SAME_EVERYWHERE]


class Texts(HTMLParser):
    """What a template says in words of its own."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_code = 0
        self.feed(TAGS.sub("…", MARKED.sub("…", template)))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_code += tag == "code"
        for name, value in attrs:
            if name in READ_OUT:
                self._take(value or "")

    def handle_endtag(self, tag: str) -> None:
        self.in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None and not self.in_code:
            self._take(data)

    def _take(self, text: str) -> None:
        if _words(text):
            self.found.append(" ".join(text.split()))


def unmarked(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the texts of a module that somebody reads and nobody can translate."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if all(isinstance(target, ast.Name) and target.id.isupper() for target in targets):
                yield from _texts(statement.value, sentences=True)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg in SAID:
                yield from _texts(keyword.value)
        place = SAID_AT.get(getattr(node.func, "id", ""))
        if place is not None and len(node.args) > place:
            yield from _texts(node.args[place])


def _texts(node: ast.expr, *, sentences: bool = False) -> Iterator[ast.Constant]:
    """Yield texts in words: of a list or the values of a dictionary, too; of a constant only what has several words."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and not SQL.match(node.value):
        several = re.search(r"[^\W\d_] +\S", node.value)
        if _words(node.value) and (several or not sentences):
            yield node
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        for one in node.elts:
            yield from _texts(one, sentences=sentences)
    elif isinstance(node, ast.Dict):
        for one in node.values:
            yield from _texts(one, sentences=sentences)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, sentences=sentences)
        yield from _texts(node.orelse, sentences=sentences)


def _looked_at(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_the_walk_sees_what_is_not_marked() -> None:
    assert Texts("<p>{% if a %}Two words{% endif %}</p>").found == ["…Two words…"]
    assert Texts('<input placeholder="Why?">').found == ["Why?"]
    marked = "<p>{% translate 'Two words' %} {{ a }} – {% blocktranslate %}More{% endblocktranslate %}</p>"
    assert Texts(marked).found == []
    assert Texts("<style>p { color: red }</style><a class='ro-link' href='/x'>→</a>").found == []
    code = "A = 'Two words'\nB = _('Two words')\nC = 'code-word'\ntable(['head'], [])\ndisplay(description=_('x y'))"
    assert [node.value for node in unmarked(ast.parse(code))] == ["Two words", "head"]


@pytest.mark.parametrize("path", _looked_at(TEMPLATES))
def test_every_text_of_a_template_is_marked_for_translation(path: str) -> None:
    assert Texts((ROOT / path).read_text()).found == []


@pytest.mark.parametrize("path", _looked_at(MODULES))
def test_every_text_of_an_admin_module_is_marked_for_translation(path: str) -> None:
    found = [f"{node.lineno}: {node.value}" for node in unmarked(ast.parse((ROOT / path).read_text()))]
    assert found == []
