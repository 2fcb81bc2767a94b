"""How the admin looks: the `UNFOLD` setting. Links are lazy, since settings are read before addresses exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.utils.functional import _StrPromise


def may(permission: str) -> Any:
    """Return a check for the sidebar: whether its person may see the rows behind a link."""
    label, name = permission.split(".")

    def check(request: HttpRequest) -> bool:
        user = request.user
        return user.has_perm(f"{label}.view_{name}") or user.has_perm(f"{label}.change_{name}")

    return check


def superuser(request: HttpRequest) -> bool:
    """Tell whether the queue's pages are shown."""
    return bool(request.user.is_superuser)


def icon(request: HttpRequest) -> str:
    """Return the address of the site's icon."""
    return static("recallops/icon.svg")


def _link(title: _StrPromise, icon: str, label: str, name: str, permission: Any = None) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{label}_{name}_changelist"),
        "permission": permission or may(f"{label}.{name}"),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "RecallOps",
    "SITE_HEADER": "RecallOps",
    "SITE_SYMBOL": "move_up",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": icon}],
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {
        "primary": {
            "50": "oklch(97.7% .013 236.6)",
            "100": "oklch(95.1% .026 236.8)",
            "200": "oklch(90.1% .058 230.9)",
            "300": "oklch(82.8% .111 230.3)",
            "400": "oklch(74.6% .16 232.7)",
            "500": "oklch(62% .15 240)",
            "600": "oklch(52% .14 244)",
            "700": "oklch(45% .12 245)",
            "800": "oklch(40% .1 246)",
            "900": "oklch(35% .08 248)",
            "950": "oklch(27% .06 250)",
        },
    },
    "DASHBOARD_CALLBACK": "migrations_app.admin.dashboard.index",
    "ACCOUNT": {
        "navigation": [
            {"title": _("Second factor"), "link": reverse_lazy("staff:factor")},
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
        ],
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    {"title": _("Dashboard"), "icon": "dashboard", "link": reverse_lazy("admin:index")},
                    {"title": _("Help"), "icon": "help", "link": reverse_lazy("help")},
                ],
            },
            {
                "title": _("The move"),
                "items": [
                    _link(_("Batches"), "move_up", "migrations_app", "batch"),
                    _link(_("Drafts"), "edit_document", "migrations_app", "batchdraft", may("migrations_app.batch")),
                    _link(_("Items"), "checklist", "migrations_app", "item"),
                    _link(_("Share groups"), "hub", "migrations_app", "sharegroup"),
                    _link(_("Rehearsals"), "theater_comedy", "migrations_app", "rehearsal"),
                    _link(_("Findings"), "report", "migrations_app", "finding"),
                    _link(_("Approvals"), "how_to_reg", "migrations_app", "approval"),
                    _link(_("Ledger"), "fact_check", "calendars", "assignment"),
                ],
            },
            {
                "title": _("Workspaces"),
                "items": [
                    _link(_("Workspaces"), "workspaces", "calendars", "workspace"),
                    _link(_("API keys"), "key", "calendars", "apikey"),
                    _link(_("API tokens"), "vpn_key", "calendars", "apitoken"),
                    _link(_("OAuth clients"), "passkey", "calendars", "oauthclient"),
                    _link(_("Regions"), "public", "calendars", "region"),
                    _link(_("Endpoint limits"), "speed", "calendars", "endpointlimit"),
                ],
            },
            {
                "title": _("Calendars"),
                "items": [
                    _link(_("Customers"), "groups", "calendars", "customer"),
                    _link(_("Status links"), "share", "migrations_app", "statuslink"),
                    _link(_("Inquiries"), "contact_support", "migrations_app", "inquiry"),
                    _link(_("Calendars"), "calendar_month", "calendars", "calendar"),
                    _link(_("Connections"), "link", "calendars", "connection"),
                    _link(_("Events"), "event", "calendars", "event"),
                    _link(_("Bots"), "smart_toy", "calendars", "bot"),
                ],
            },
            {
                "title": _("Scheduling"),
                "items": [
                    {
                        "title": _("Coming meetings"),
                        "icon": "upcoming",
                        "link": reverse_lazy("admin:calendars_assignment_upcoming"),
                        "permission": may("calendars.assignment"),
                    },
                    _link(_("Policies"), "rule", "calendars", "recordingpolicy"),
                    _link(_("Choices"), "touch_app", "calendars", "recordingchoice"),
                    _link(_("Bot profiles"), "tune", "calendars", "botprofile"),
                ],
            },
            {
                "title": _("Webhooks"),
                "collapsible": True,
                "items": [
                    _link(_("Endpoints"), "webhook", "calendars", "webhookendpoint"),
                    _link(_("Secrets"), "password", "calendars", "webhooksecret"),
                    _link(_("Deliveries"), "inbox", "calendars", "delivery"),
                    _link(_("Refusals"), "block", "calendars", "webhookrefusal"),
                ],
            },
            {
                "title": _("Relay"),
                "collapsible": True,
                "items": [
                    _link(_("Applications"), "cable", "calendars", "application"),
                    _link(_("Applications' secrets"), "enhanced_encryption", "calendars", "applicationsecret"),
                    _link(_("Passed-on webhooks"), "outbox", "calendars", "relayed"),
                ],
            },
            {
                "title": _("Messages"),
                "collapsible": True,
                "items": [
                    _link(_("E-mails to customers"), "mail", "migrations_app", "message"),
                    _link(_("E-mail templates"), "edit_note", "migrations_app", "mailtemplate"),
                    _link(_("Alerts"), "notifications", "migrations_app", "alert"),
                    _link(_("Alert channels"), "campaign", "migrations_app", "alertchannel"),
                    _link(_("Report keys"), "verified", "migrations_app", "reportkey"),
                ],
            },
            {
                "title": _("Records"),
                "collapsible": True,
                "items": [
                    _link(_("Audit entries"), "history", "calendars", "auditentry"),
                    _link(_("Calls to providers"), "swap_vert", "calendars", "providercall"),
                    _link(_("Intents"), "edit_note", "calendars", "intent"),
                    _link(_("Id mappings"), "swap_horiz", "calendars", "idmapping"),
                ],
            },
            {
                "title": _("Staff and queue"),
                "collapsible": True,
                "items": [
                    _link(_("Users"), "person", "auth", "user"),
                    _link(_("Roles"), "group", "auth", "group"),
                    _link(_("Failed log-ins"), "lock_clock", "axes", "accessattempt", may("auth.user")),
                    _link(_("Queued tasks"), "hourglass", "django_q", "ormq", superuser),
                    _link(_("Done tasks"), "task_alt", "django_q", "success", superuser),
                    _link(_("Failed tasks"), "error", "django_q", "failure", superuser),
                ],
            },
        ],
    },
}
