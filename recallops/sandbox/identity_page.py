"""The pages of the identity provider: consent, and the fault that no redirect may carry. All they show is escaped."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING

from recallops.sandbox.messages import HTML, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; background: Canvas; color: CanvasText; }
main { max-width: 28rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
.simulation { border: 2px dashed; padding: .5rem .75rem; }
[role=alert] { border-inline-start: 4px solid; padding-inline-start: .75rem; }
h1 { font-size: 1.375rem; line-height: 1.25; }
label { display: block; font-weight: 600; margin-top: 1rem; }
input { display: block; box-sizing: border-box; width: 100%; font: inherit; padding: .5rem; margin: .25rem 0 1rem; }
button { font: inherit; min-height: 2.75rem; padding: 0 1.25rem; margin-inline-end: .5rem; }
"""
# No `form-action`: browsers hold it against the redirect after the form too, and that leads to the client's own host.
_POLICY = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def consent(name: str, *, client_id: str, scopes: Iterable[str], email: str, query: str, trouble: str = "") -> Response:
    """Ask whether a client may have what it asks for. `query` is the client's own and comes back with the form."""
    asked = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes)
    alert = f'<p role="alert" id="trouble">{escape(trouble)}</p>' if trouble else ""
    flaw = ' aria-invalid="true" aria-describedby="trouble"' if trouble else ""
    return _page(
        200,
        name,
        f"""<h1>Allow access to a {name} account?</h1>
<p>The application <code>{escape(client_id)}</code> asks for:</p>
<ul>{asked}</ul>
{alert}
<form method="post" action="?{escape(query)}">
<label for="email">E-mail address of the account</label>
<input id="email" name="email" type="email" value="{escape(email)}" autocomplete="username" required{flaw}>
<button name="decision" value="allow">Allow</button>
<button name="decision" value="cancel" formnovalidate>Cancel</button>
</form>""",
    )


def refusal(name: str, code: str, sentence: str) -> Response:
    """Say what is wrong with a request whose redirect URI cannot be trusted, and lead nowhere."""
    return _page(400, name, f"<h1>Access blocked</h1>\n<p>{escape(sentence)}</p>\n<p>Error 400: {escape(code)}</p>")


def _page(status: int, name: str, content: str) -> Response:
    whole = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated sign-in at {name}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<p class="simulation">This is a simulation of {name}, made by the sandbox. It knows made-up accounts only: type no
password and nothing real.</p>
{content}
</main>
</body>
</html>
"""
    return Response(status, whole.encode(), HTML, dict(_HEADERS))
