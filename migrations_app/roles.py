"""The roles of staff: four groups, each with the rights of the one before it and some more.

This table is the one place. `manage.py migrate` writes it into the groups whenever it runs (permissions exist only
after the migrations of all apps, so no single migration could), and takes away what somebody added to one of them: a
fifth role is a group of one's own. A right is "app.codename", as Django checks it; "app.act:a b" is that act on each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

VIEWER, OPERATOR, APPROVER, ADMINISTRATOR = ROLES = ("viewer", "operator", "approver", "administrator")

SEEN = """
calendars.view:application assignment auditentry bot botprofile calendar connection customer customercontact delivery
calendars.view:endpointlimit
calendars.view:event handover idmapping intent providercall recordingchoice recordingpolicy region relayed
calendars.view:webhookendpoint webhookrefusal workspace
migrations_app.view:alert alertchannel approval batch finding inquiry item mailtemplate message rehearsal reportkey
migrations_app.view:sharegroup statuslink
"""

DRIVEN = """
migrations_app.add:batch statuslink
migrations_app.change:batch finding inquiry mailtemplate message statuslink
calendars.add:botprofile customer customerdomain recordingchoice recordingpolicy
calendars.change:botprofile customer customerdomain delivery handover recordingchoice recordingpolicy relayed
calendars.add:customercontact
calendars.change:customercontact
calendars.delete:customercontact recordingchoice recordingpolicy
"""

APPROVED = """
migrations_app.approve migrations_app.delete_old migrations_app.waive_blocking
"""

ADMINISTERED = """
calendars.view:apikey apitoken applicationsecret oauthclient ratebudget webhooksecret
calendars.add:apikey apitoken application applicationsecret oauthclient region endpointlimit webhookendpoint
calendars.add:webhooksecret workspace
calendars.change:apikey apitoken application applicationsecret endpointlimit oauthclient ratebudget region
calendars.change:webhookendpoint webhooksecret workspace
calendars.delete:apikey application applicationsecret botprofile customer customerdomain endpointlimit oauthclient
calendars.delete:webhookendpoint webhooksecret workspace
migrations_app.add:alertchannel reportkey
migrations_app.change:alertchannel reportkey
migrations_app.delete:alertchannel
auth.view:group user
auth.add:user
auth.change:user
"""

SECRET = ("apikey", "apitoken", "applicationsecret", "oauthclient", "webhooksecret")
"""Models of `calendars` whose pages only administrators open."""


def rights(role: str) -> frozenset[str]:
    """Return what a role may do, as "app.codename"."""
    return frozenset(
        right
        for table in (SEEN, DRIVEN, APPROVED, ADMINISTERED)[: ROLES.index(role) + 1]
        for right in _written_out(table)
    )


def _written_out(table: str) -> Iterable[str]:
    act = ""
    for word in table.split():
        if ":" in word:
            act, _, word = word.partition(":")
            yield f"{act}_{word}"
        elif "." in word:
            yield word
        else:
            yield f"{act}_{word}"


def grant(sender: Any = None, *, using: str = "default", **_: Any) -> None:
    """Make the four groups hold what the table says, no more and no less."""
    from django.contrib.auth.models import Group, Permission

    rows = Permission.objects.using(using).values_list("content_type__app_label", "codename", "pk")
    known = {f"{label}.{codename}": pk for label, codename, pk in rows}
    through = Group.permissions.through
    for role in ROLES:
        group, _made = Group.objects.using(using).get_or_create(name=role)
        wanted = [known[right] for right in rights(role) if right in known]
        held = through._default_manager.using(using)
        held.filter(group_id=group.pk).exclude(permission_id__in=wanted).delete()
        held.bulk_create([through(group_id=group.pk, permission_id=pk) for pk in wanted], ignore_conflicts=True)
