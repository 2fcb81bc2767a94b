"""Reading the body of a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from recallops.sandbox.messages import coded, invalid

if TYPE_CHECKING:
    from recallops.sandbox.messages import Request


def payload(request: Request) -> dict[str, Any]:
    """Return the body's fields; no body means none."""
    if not request.body:
        return {}
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError) as trouble:
        raise coded(400, "parse_error", f"JSON parse error - {trouble}") from None
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise invalid(non_field_errors=f"Invalid data. Expected a dictionary, but got {kind}.")
    return value
