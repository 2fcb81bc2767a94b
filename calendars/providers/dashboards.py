"""Pages of the vendors' own dashboards, for what only a person can do there. A table for each provider."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from calendars.models import Provider, Region


@dataclass(frozen=True, slots=True)
class VendorPage:
    """A page of a vendor's dashboard: how it is asked for, its name, what it is for, its address."""

    code: str
    label: str
    purpose: str
    url: str


_HOSTS = {Provider.RECALL: "recall.ai"}
_PATHS = {
    Provider.RECALL: (
        ("keys", _("API keys"), _("make and revoke keys"), "/dashboard/developers/api-keys"),
        ("webhooks", _("Webhooks"), _("endpoints and the signing secret"), "/dashboard/webhooks"),
        ("google", _("Google"), _("the OAuth client for Google calendars"), "/dashboard/platforms/google"),
        ("microsoft", _("Microsoft"), _("the OAuth client for Outlook calendars"), "/dashboard/platforms/microsoft"),
    ),
}


def vendor_pages(region: Region) -> list[VendorPage]:
    """Return the dashboard's pages of a region; none where its address is not the vendor's own, as in a sandbox."""
    address = urlsplit(region.base_url)
    provider = Provider(region.provider)
    host = _HOSTS.get(provider)
    if address.scheme != "https" or host is None or not (address.hostname or "").endswith(f".{host}"):
        return []
    return [
        VendorPage(code, str(label), str(purpose), f"https://{address.hostname}{path}")
        for code, label, purpose, path in _PATHS[provider]
    ]
