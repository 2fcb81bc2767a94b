"""From the document to the tables of the rehearsal's own schema: what a person would have typed, and the batch."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from calendars.models import (
    ApiKey,
    Customer,
    CustomerDomain,
    EndpointLimit,
    Handover,
    OAuthClient,
    Provider,
    RateBudget,
    Region,
    Workspace,
)
from calendars.models.workspace import emission
from migrations_app import control
from migrations_app.itineraries import Step
from migrations_app.models import Batch
from recallops.rehearsal.world import ADDRESS, SOURCE, TARGET, oauth_clients, place

if TYPE_CHECKING:
    from recallops.rehearsal.document import Document, Side
    from recallops.sandbox.world import World

NAME = "rehearsal"
LEAST_SHARE = 0.1  # limits are reduced no further: readings must stay as fresh as the hand-over wants them


def make(document: Document, world: World) -> Batch:
    """Make the rows, and allow the batch everything, as the buttons would."""
    source, target = (
        _workspace(role, side, world, document.share)
        for role, side in ((SOURCE, document.source), (TARGET, document.target))
    )
    moving = _customers(document)
    for told, client in zip(document.clients, oauth_clients(document), strict=True):
        if told.entered:
            OAuthClient.objects.create(
                platform=client.platform,
                client_id=client.client_id,
                client_secret=client.secret,
                certificate=client.certificate,
                private_key=client.private_key,
            )
    batch = control.create_batch(slug=NAME, source=source, target=target, customers=moving)
    Batch.objects.filter(pk=batch.pk).update(
        soak=timedelta(seconds=document.soak),
        canary_wait=timedelta(seconds=document.canary_wait),
        drivers=document.drivers,
    )
    Handover.objects.filter(pk=batch.handover_id).update(max_both=document.max_both)
    if document.cut_line:
        control.set_cut_line(batch, datetime.fromisoformat(document.cut_line), actor=None)
    control.set_goal(batch, Step.CLEAN_UP, actor=None, confirm=NAME)
    return batch


def _customers(document: Document) -> list[Customer]:
    """Make customers; return those whose calendars move. They are told by the domain."""
    moving = []
    chosen = {one.domain: one.chosen for one in document.calendars}
    for domain, moves in sorted(chosen.items()):
        name = domain.removesuffix(".example")
        customer = Customer.objects.create(slug=name, name=name)
        CustomerDomain.objects.create(customer=customer, domain=domain)
        if moves:
            moving.append(customer)
    return moving


def _workspace(role: str, side: Side, world: World, share: float) -> Workspace:
    region = Region.objects.create(provider=Provider.RECALL, code=role, label=role, base_url=ADDRESS.format(role=role))
    workspace = Workspace.objects.create(
        slug=role,
        name=role,
        region=region,
        reserve_percent=side.reserve_percent,
        **{name: timedelta(seconds=seconds) for name, seconds in side.numbers.items()},
    )
    ApiKey.objects.create(workspace=workspace, label=NAME, secret=place(world, role).api_keys[0])
    stated = dict(EndpointLimit.objects.filter(provider=region.provider).values_list("endpoint", "per_minute"))
    RateBudget.objects.bulk_create(
        RateBudget(
            workspace=workspace,
            endpoint=endpoint,
            per_minute=max(1, round(per_minute * reduced(share))),
            emission=emission(per_minute * reduced(share), side.reserve_percent),
        )
        for endpoint, per_minute in {**stated, **side.limits}.items()
    )
    return workspace


def reduced(share: float) -> float:
    """Return to which share limits are reduced when a share of the inventory is played."""
    return max(share, LEAST_SHARE)
