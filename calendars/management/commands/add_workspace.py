"""A new workspace from a terminal. The key comes from a prompt or the environment, never from the command line."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_slug
from django.db import IntegrityError, transaction

from calendars.management.terminal import actor, plain
from calendars.models import ApiKey, AuditEntry, Provider, RateBudget, Region, Workspace
from calendars.providers import connect
from recallops.encryption import fingerprint

VARIABLE = "RECALLOPS_API_KEY"
NOT_OPENED = 3  # exit code

BAD_SLUG = "“{slug}” is no slug: letters, digits, hyphens and underscores, at most 50."
NO_REGION = "There is no region “{code}” of {provider}. Known: {known}. Others are added in the admin under “Regions”."
TAKEN = "There is a workspace “{slug}” already, in {region}. To give it another key, run this again with --add-key."
UNKNOWN = "There is no workspace “{slug}” to add a key to. Leave out --add-key to make it."
ELSEWHERE = "The workspace “{slug}” is in {region}, not in {code}. A key opens one region only."
NO_KEY = "No key was given. Type it at the prompt, or set {variable}."
NO_PROMPT = "There is no terminal to ask for the key. Set {variable}."
NOT_A_KEY = "That is no API key: a key is one word of plain characters. Give it alone, without “Token”."
KNOWN_KEY = "“{slug}” has this very key already (fingerprint {fingerprint})."
MADE = "Workspace “{slug}” in {region} has the key “{key}”, fingerprint {fingerprint}."
NOT_OPENED_SAID = (
    "{sentence}\nThe workspace and its key are kept. Try again with “test connection” on the key's page, correct the "
    "region in the admin, or give the right key with --add-key."
)


class Command(BaseCommand):
    help = (
        "Adds a workspace and its API key, and tests the key. The key is asked for, or taken from the environment "
        f"variable {VARIABLE}. Exit codes: 0 the key opens its region; 1 refused; {NOT_OPENED} it does not open it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", metavar="SLUG", help="the workspace's name in commands and reports")
        parser.add_argument("--region", metavar="CODE", help="as the vendor writes it, for example us-west-2")
        parser.add_argument("--provider", choices=Provider.values, default=Provider.RECALL.value)
        parser.add_argument("--name", default="", help="for people; default: the slug")
        parser.add_argument(
            "--family", default="", help="shared by workspaces that move into each other; default: the slug"
        )
        parser.add_argument("--label", default="key", help="what to call the key")
        parser.add_argument("--add-key", action="store_true", help="give a known workspace one more key")

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = _known(options) if options["add_key"] else _unsaved(options)
        secret = _ask(workspace)
        key = _store(workspace, secret, label=options["label"])
        self.stdout.write(
            MADE.format(slug=workspace.slug, region=workspace.region, key=key, fingerprint=key.fingerprint)
        )
        sentence = plain(connect.test_key(key))
        if not _opened(key):
            raise CommandError(NOT_OPENED_SAID.format(sentence=sentence), returncode=NOT_OPENED)
        self.stdout.write(self.style.SUCCESS(sentence))


def _known(options: dict[str, Any]) -> Workspace:
    """Return the workspace that gets one more key."""
    found = Workspace.objects.select_related("region").filter(slug=options["slug"]).first()
    if found is None:
        raise CommandError(UNKNOWN.format(slug=plain(options["slug"])))
    if options["region"] and options["region"] != found.region.code:
        raise CommandError(ELSEWHERE.format(slug=found.slug, region=found.region, code=plain(options["region"])))
    return found


def _unsaved(options: dict[str, Any]) -> Workspace:
    """Return the workspace that is to be made; everything is checked before the key is asked for."""
    slug = options["slug"]
    try:
        validate_slug(slug)
    except ValidationError:
        slug = ""
    if not slug or len(slug) > 50:
        raise CommandError(BAD_SLUG.format(slug=plain(options["slug"])))
    taken = Workspace.objects.select_related("region").filter(slug=slug).first()
    if taken is not None:
        raise CommandError(TAKEN.format(slug=slug, region=taken.region))
    regions = Region.objects.filter(provider=options["provider"])
    region = regions.filter(code=options["region"] or "").first()
    if region is None:
        known = ", ".join(regions.order_by("code").values_list("code", flat=True)) or "none"
        provider = Provider(options["provider"]).label
        raise CommandError(NO_REGION.format(code=plain(options["region"] or ""), provider=provider, known=known))
    return Workspace(slug=slug, name=(options["name"] or slug)[:120], region=region, family=options["family"][:50])


def _ask(workspace: Workspace) -> str:
    """Return the key from the environment, else from the prompt."""
    secret = os.environ.get(VARIABLE, "").strip()
    if not secret:
        if not sys.stdin.isatty():
            raise CommandError(NO_PROMPT.format(variable=VARIABLE))
        secret = getpass.getpass(f"API key of {workspace.slug} ({workspace.region}): ").strip()
    if not secret:
        raise CommandError(NO_KEY.format(variable=VARIABLE))
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise CommandError(NOT_A_KEY)
    return secret


def _store(workspace: Workspace, secret: str, *, label: str) -> ApiKey:
    """Store workspace, limits and key, or nothing."""
    made = workspace.pk is None
    if not made and ApiKey.objects.filter(workspace=workspace, fingerprint=fingerprint(secret)).exists():
        raise CommandError(KNOWN_KEY.format(slug=workspace.slug, fingerprint=fingerprint(secret)))
    try:
        with transaction.atomic():
            if made:
                workspace.save(force_insert=True)
                AuditEntry.objects.record(
                    actor=actor(), action="workspace.add", subject=workspace, region=workspace.region.code
                )
            RateBudget.objects.fill(workspace)
            key = ApiKey.objects.create(workspace=workspace, secret=secret, label=label[:80])
            AuditEntry.objects.record(
                actor=actor(), action="apikey.add", subject=key, workspace=workspace.slug, fingerprint=key.fingerprint
            )
            return key
    except IntegrityError as error:  # somebody else was faster; the error's text is not shown, it quotes the row
        raise CommandError(TAKEN.format(slug=workspace.slug, region=workspace.region)) from error


def _opened(key: ApiKey) -> bool:
    key.refresh_from_db(fields=["test_result"])
    return key.test_result.startswith("The key opens")
