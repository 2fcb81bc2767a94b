"""What stands before the move begins: the database, the filled regions, and the rows that a person would type.

1. Migrate; make a member of staff.
2. Fill the source region; add the customer of the real exports, if any.
3. Regions, workspaces with their keys and budgets, customers with their domains, OAuth clients.
4. Let the world change from now on; make the batch and allow it everything, as the buttons would.
5. Make a status link for a customer, one of whose calendars has to be connected again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.urls import reverse

from calendars.models import (
    ApiKey,
    Assignment,
    Customer,
    CustomerDomain,
    Driver,
    OAuthClient,
    Provider,
    RateBudget,
    Region,
    Sweep,
    Workspace,
)
from migrations_app import control
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Item, StatusLink
from migrations_app.models.status_link import end_of_life

if TYPE_CHECKING:
    from recallops.demo.control import Sandbox
    from recallops.demo.place import Options

BATCH = "us-to-eu"
SOURCE, TARGET = "us-west-2", "eu-central-1"
SLUGS = {SOURCE: "us", TARGET: "eu"}
NAMES = {SOURCE: "Acme US", TARGET: "Acme EU"}
INSIDE = "main"  # the workspace's name inside the sandbox
FIRST_HOUR = timedelta(hours=5, minutes=30)
SOAK = timedelta(hours=12)  # half of what a batch has by itself: the demo's day is short
LINK_FOR = "the customer of the demo"
SWEEP_EVERY = timedelta(minutes=30)  # every stop of the clock costs a moment; nothing here needs it more often


def coming_monday(now: datetime) -> datetime:
    """Return when the demo's time begins: early on the Monday after now, when somewhere the day has begun."""
    days = (7 - now.weekday()) % 7
    morning = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=days) + FIRST_HOUR
    return morning if morning > now else morning + timedelta(days=7)


def migrate() -> None:
    """Bring the database to what the code expects."""
    call_command("migrate", verbosity=0, interactive=False)


def make_staff(user: str, password: str) -> None:
    """Make the member of staff who may log in, with this password."""
    model = get_user_model()
    if not model.objects.filter(username=user).exists():
        model.objects.create_superuser(username=user, email=f"{user}@acme.example", password=password)


def fill(sandbox: Sandbox, options: Options, **odd: int) -> dict[str, Any]:
    """Fill the source region; return the sandbox's summary with all customers. `odd` are numbers of odd calendars."""
    where = {"region": SOURCE, "workspace": INSIDE}
    size = {"calendars": options.calendars, "customers": options.customers, "events": options.events}
    summary = sandbox.ask("fill", **where, **size, **odd, seed=options.seed)
    if options.ics:
        link = "" if options.ics_link == "none" else options.ics_link
        added = sandbox.ask("ics", **where, files=list(options.ics), link=link)
        summary["ics"] = added
        summary["customers"].append({"slug": added["slug"], "name": added["name"], "domains": added["domains"]})
    return summary


@transaction.atomic
def make_rows(sandbox: Sandbox, summary: dict[str, Any], options: Options) -> None:
    """Write down what a person would type: customers, clients, workspaces, keys."""
    for one in summary["customers"]:
        customer, _ = Customer.objects.get_or_create(slug=one["slug"], defaults={"name": one["name"]})
        for domain in one["domains"]:
            CustomerDomain.objects.get_or_create(domain=domain, defaults={"customer": customer})
    for client in summary["clients"]:
        secret = client.get("secret", "")
        opened_by = {name: client.get(name, "") for name in ("certificate", "private_key")}
        # The certificates of made-up companies are none, so nothing can be signed with them.
        OAuthClient.objects.get_or_create(
            platform=client["platform"],
            client_id=client["client_id"],
            defaults={"client_secret": secret, "reconnects": bool(secret), **opened_by},
        )
    point_regions(sandbox)
    for code in (SOURCE, TARGET):
        region = Region.objects.get(provider=Provider.RECALL, code=code)
        workspace = Workspace.objects.create(slug=SLUGS[code], name=NAMES[code], region=region, sweep_every=SWEEP_EVERY)
        ApiKey.objects.create(workspace=workspace, label="demo", secret=sandbox.key(code, INSIDE))
        RateBudget.objects.fill(workspace, factor=options.speed)


def point_regions(sandbox: Sandbox) -> None:
    """Let the regions' rows name the ports of this run. Readings that were half way name the old ones: begin anew."""
    for code in (SOURCE, TARGET):
        url = sandbox.base_url(code)
        region = Region.objects.get(provider=Provider.RECALL, code=code)
        if region.base_url != url:
            Region.objects.filter(pk=region.pk).update(base_url=url)
            Sweep.objects.filter(workspace__region=region, finished_at=None).delete()


def lead_back(sandbox: Sandbox, site: str) -> None:
    """Let the identity provider lead people back to this run's port, for all clients that there are by now."""
    sandbox.ask("redirect", uri=f"{site}{reverse('status:back')}")


def make_link(email: str, user: str) -> tuple[str, str]:
    """Make a status link for the customer whom a calendar belongs to; return the customer's name and the secret."""
    staff = get_user_model().objects.get(username=user)
    customer = Customer.objects.get(domains__domain=email.rpartition("@")[2])
    _, secret = StatusLink.objects.issue(customer, label=LINK_FOR, expires_at=end_of_life(), created_by=staff)
    return customer.name, secret


def change_the_world(sandbox: Sandbox, options: Options) -> None:
    """Let meetings be made, moved, cancelled and declined over the coming hours."""
    if options.hours > 0:
        changes = max(12, min(60, options.events // 60))
        where = {"region": SOURCE, "workspace": INSIDE}
        sandbox.ask("script/start", **where, hours=options.hours, changes=changes, seed=options.seed)


def make_batch(user: str) -> Batch:
    """Make the batch and allow it everything, its delete confirmed by typing its name."""
    staff = get_user_model().objects.get(username=user)
    source, target = (Workspace.objects.select_related("region").get(slug=SLUGS[code]) for code in (SOURCE, TARGET))
    batch = control.create_batch(slug=BATCH, source=source, target=target, actor=staff)
    Batch.objects.filter(pk=batch.pk).update(soak=SOAK)
    control.set_goal(batch, Step.CLEAN_UP, actor=staff, confirm=batch.slug)
    return batch


def take_back_leases() -> None:
    """Free what the workers of an earlier run held: none of them is alive, so nobody has to wait for its end."""
    from django_q.models import OrmQ

    for model in (Assignment, Item, Batch, Sweep, Driver):
        model._default_manager.exclude(lease_token=None).update(lease_token=None, lease_until=None)
    Driver.objects.update(rung_at=None)
    OrmQ.objects.all().delete()
