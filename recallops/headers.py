"""What browsers may do on a page: four content security policies, and the rest of the headers.

Staff pages: unfold's Alpine evaluates its own attributes (`unsafe-eval`), and sets styles. No script that stands in a
page runs, and nothing comes from elsewhere. The API's own page of documentation sets styles, too. Status pages of
customers have scripts and styles in files of ours, send a form to us, and nothing else. All else,
which is data, may do nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csp.middleware import CSPMiddleware, PolicyParts
from csp.utils import default_config

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

SELF, NONE = "'self'", "'none'"
STRICT: dict[str, Any] = {
    "default-src": [NONE],
    "base-uri": [NONE],
    "form-action": [NONE],
    "frame-ancestors": [NONE],
}
DOCUMENTATION: dict[str, Any] = {
    **STRICT,
    "script-src": [SELF],
    "style-src": [SELF, "'unsafe-inline'"],
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
}
STAFF: dict[str, Any] = {
    "default-src": [SELF],
    "script-src": [SELF, "'unsafe-eval'"],
    "style-src": [SELF, "'unsafe-inline'"],
    "img-src": [SELF, "data:"],
    "object-src": [NONE],
    "base-uri": [SELF],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
}
CUSTOMERS: dict[str, Any] = {
    **STRICT,
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF],
    "connect-src": [SELF],
    "form-action": [SELF],
}
PRIVATE_PREFIX = "/status/"
PRIVATE = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}
"""Of addresses that are secrets, whatever is answered: nobody keeps such a page, finds it by searching, or learns its
address from where it leads."""
POLICIES = (("/admin/", STAFF), ("/api/docs/", DOCUMENTATION), (PRIVATE_PREFIX, CUSTOMERS))
PERMISSIONS = ", ".join(
    f"{name}=()" for name in ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
)


class HeadersMiddleware(CSPMiddleware):
    """Sets them. What no address names gets the strict policy of the settings."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        """Choose by the address, unless the view has said so itself."""
        parts = super().get_policy_parts(request, response, report_only)
        if parts.config is None and not report_only:
            named = (policy for prefix, policy in POLICIES if request.path_info.startswith(prefix))
            parts.config = default_config(next(named, STRICT))
        return parts

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Set the policy, and what the browser may use of its machine: nothing."""
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        if request.path_info.startswith(PRIVATE_PREFIX):
            for name, value in PRIVATE.items():
                response.headers[name] = value
        return super().process_response(request, response)
