"""What axe-core says of a page: the rules of accessible pages that a program can check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Page

GRAVE = {"serious", "critical"}
BY_LOOK = ("color-contrast",)
"""The rules whose answer is another one in light than in dark."""

# Faults of the admin's theme that neither templates nor styles of ours reach, each with its reason: rule and selector.
EXCUSED: tuple[tuple[str, str], ...] = ()


def faults(page: Page, *, only: tuple[str, ...] = ()) -> list[str]:
    """Return the serious and critical faults of a page, or those against some rules."""
    options = {"resultTypes": ["violations"], **({"runOnly": {"type": "rule", "values": list(only)}} if only else {})}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{fault['id']}: {' '.join(map(str, node['target']))} {node['html'][:110]!r} {_why(node)}"
        for fault in found
        if fault["impact"] in GRAVE
        for node in fault["nodes"][:3]
        if not any(fault["id"] == rule and selector in str(node["target"]) for rule, selector in EXCUSED)
    ]


def _why(node: dict[str, list[dict[str, str]]]) -> str:
    return "; ".join(check["message"] for kind in ("any", "all", "none") for check in node[kind])[:160]
