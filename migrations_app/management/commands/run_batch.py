"""One move from a terminal: makes the batch or goes on with the open one, allows its steps, and watches the rows.

The workers do the work (`manage.py workers`); ending this command changes nothing for the batch.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.utils.dateparse import parse_datetime

from calendars.management.terminal import actor, plain
from calendars.models import Customer, Workspace
from migrations_app import control, drafts, report, report_signing, selection, watch
from migrations_app.calendar_file import CalendarFile, Unreadable, open_file
from migrations_app.itineraries import FORWARD, Step, position
from migrations_app.management.display import display_for
from migrations_app.models import Batch, Selection
from migrations_app.watch import Code
from recallops.workers import workers_alive

POLL = 1.0  # seconds between two looks
PATIENCE = 20.0  # seconds without a living worker, or without a database, before giving up

EXIT_CODES = """exit codes:
  0    closed, or the goal is reached, and every calendar came that far
  1    refused, with the reason
  2    wrong arguments
  3    at rest; some calendars wait for a person
  4    at rest; some calendars failed
  5    stopped by a blocking finding
  6    stopped by a problem, such as a refused key
  7    no worker is alive
  8    the delete is not confirmed: --confirm-delete is missing or wrong
  9    the database does not answer
  130  interrupted; the batch goes on

The batch goes on whatever happens here: only the workers and the batch's page (or --pause) change that.
The API keys are those of the workspaces; manage.py add_workspace asks for them."""

NO_WORKSPACE = "There is no workspace “{slug}”. Known: {known}. Make one with manage.py add_workspace."
NO_CUSTOMER = "There is no customer “{slug}”. Known: {known}."
CUSTOMERS_LATER = (
    "There is no customer “{slug}” yet. Customers become known when the calendars are read: run with --until preflight "
    "for the whole workspace first, or make the customer in the admin."
)
ONE_WAY = "Choose the calendars in one way: --customer, --calendars-file or --canary-percent."
BAD_PERCENT = "--canary-percent takes a whole number from 1 to 99."
NO_FILE = "The file {path} cannot be read: {why}."
LEFT_OUT = "Line {line} is left out: {text}. {why}"
MORE_LEFT_OUT = "More lines are left out; the batch's page in the admin has them all."
MOST_LINES = 20
NO_STEP = "There is no step “{step}”. The steps are: {steps}."
BAD_TIME = "“{text}” is no time with a zone. Write for example 2026-11-24T06:00:00+00:00."
BAD_REPORT = "The report cannot be written to {path}: the folder does not exist."
NOT_CONFIRMED = (
    "“{step}” deletes calendars in {source}. Confirm it with --confirm-delete {name}, or stop before it with "
    "--until hand-over."
)
WRONG_NAME = "--confirm-delete must be the batch's name: {name}"
OTHER_BATCH = "The batch “{name}” moves {source} to {target}. Choose another --name."
OTHER_CUSTOMERS = "The batch “{name}” was made for other customers ({customers}). Choose another --name."
OTHER_CALENDARS = "The batch “{name}” was made for another choice of calendars ({choice}). Choose another --name."
SEVERAL = "There are several open batches that fit: {names}. Choose one with --name."
MADE = "Batch “{name}” is made: {source} to {target}."
GOES_ON = "Batch “{name}” goes on: {source} to {target}."
NO_WORKER = "No worker is alive, so nothing moves. Start “manage.py workers”, then run this again: the batch is kept."
NO_DATABASE = "The database does not answer. The batch is kept; run this again when it does."
INTERRUPTED = (
    "No longer watching; the batch goes on. To watch again: manage.py run_batch {same}\n"
    "To pause it: the same with --pause, or the button on its page."
)
PAUSED = "Batch “{name}” is paused: no new hand-over begins, those that have begun are brought to their end."
NO_BATCH = "There is no such batch between {source} and {target}."
BACK_NOT_CONFIRMED = "--go-back deletes in {target} what the batch made there. Confirm it with --confirm-delete {name}."
RETRIED = "{count} failed or waiting calendar(s) are tried again."


class Command(BaseCommand):
    help = "Moves calendars from one workspace to another: sets the goal, then shows what the workers do."

    pause: Callable[[float], None] = staticmethod(time.sleep)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        kwargs.update(formatter_class=RawDescriptionHelpFormatter, epilog=EXIT_CODES)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source", required=True, metavar="WORKSPACE", help="slug of the workspace to move from")
        parser.add_argument("--target", required=True, metavar="WORKSPACE", help="slug of the workspace to move to")
        parser.add_argument(
            "--customer", action="append", default=[], metavar="SLUG", help="only this one's calendars; may be repeated"
        )
        parser.add_argument(
            "--calendars-file", type=Path, metavar="FILE", help="only the calendars of a CSV file, one a line"
        )
        parser.add_argument(
            "--canary-percent", type=int, metavar="N", help="only so many per cent of the calendars of each platform"
        )
        parser.add_argument(
            "--until", metavar="STEP", default="clean-up", help=f"furthest step: {_steps()}; default: all"
        )
        parser.add_argument("--report", type=Path, metavar="FILE", help="write the report as JSON at the end")
        parser.add_argument(
            "--confirm-delete", metavar="NAME", default="", help="the batch's name, to allow the delete"
        )
        parser.add_argument("--name", metavar="SLUG", default="", help="the batch's name; default: SOURCE-to-TARGET")
        parser.add_argument("--cut-line", metavar="ISO", help="meetings that start from here on go to the target")
        parser.add_argument("--retry-failed", action="store_true", help="try failed and stopped things again first")
        parser.add_argument(
            "--go-back", action="store_true", help="cancel or reverse the batch: all goes to the source again"
        )
        parser.add_argument("--pause", action="store_true", help="pause the batch and end")
        parser.add_argument("--resume", action="store_true", help="let a paused batch go on")

    def handle(self, *args: Any, **options: Any) -> None:
        goal = _step(options["until"])
        file = _file(options)
        if options["report"] and not options["report"].absolute().parent.is_dir():
            raise CommandError(BAD_REPORT.format(path=options["report"]))
        try:
            batch = self._batch(goal, options, file)
            if options["pause"]:
                if not batch.handover.paused:
                    control.set_paused(batch, True, actor=actor())
                self.stdout.write(PAUSED.format(name=batch.slug))
                return
            self._press(batch, goal, options)
        except control.Refused as refused:
            raise CommandError(plain(str(refused))) from refused
        try:
            end = self._watch(batch)
        except KeyboardInterrupt:
            same = f"--source {batch.source.slug} --target {batch.target.slug} --name {batch.slug} --until {goal.value}"
            end = watch.Ending(Code.INTERRUPTED, INTERRUPTED.format(same=same))
        if options["report"] and end.code != Code.NO_DATABASE:
            report.write(Batch.objects.get(pk=batch.pk), options["report"])
            self.stdout.write(f"The report is in {options['report']}.")
            if signature := report_signing.sign_file(options["report"], batch=batch.slug):
                self.stdout.write(f"Its signature is in {signature}.")
        if end.code == Code.FINE:
            self.stdout.write(self.style.SUCCESS(end.sentence))
            return
        for line in end.sentence.splitlines():
            self.stderr.write(plain(line))
        sys.exit(int(end.code))

    # -- what is asked for

    def _batch(self, goal: Step, options: dict[str, Any], file: CalendarFile | None) -> Batch:
        """Find the batch that is meant, or make it; nothing is made before the delete is confirmed."""
        source, target = _workspace(options["source"]), _workspace(options["target"])
        customers = [_customer(slug) for slug in sorted(set(options["customer"]))]
        found = _existing(source, target, customers, options)
        name = found.slug if found else options["name"] or drafts.free_name(source, target)
        if options["pause"] or options["go_back"]:
            if found is None:
                raise CommandError(NO_BATCH.format(source=source, target=target))
        else:
            _confirmed(found, goal, name=name, source=source, typed=options["confirm_delete"])
        if found is not None:
            batch = found
        elif file is not None or options["canary_percent"]:
            batch = self._of_some(name, source, target, file, options)
        else:
            batch = control.create_batch(slug=name, source=source, target=target, customers=customers, actor=actor())
        said = GOES_ON if found else MADE
        self.stdout.write(said.format(name=batch.slug, source=source, target=target))
        return batch

    def _of_some(
        self, name: str, source: Workspace, target: Workspace, file: CalendarFile | None, options: dict[str, Any]
    ) -> Batch:
        """Make a batch for some calendars, and say which lines of a file were left out."""
        with transaction.atomic():
            batch = drafts.begin(slug=name, source=source, target=target, actor=actor())
            if file is not None:
                selection.choose_by_file(batch, file, name=options["calendars_file"].name)
            else:
                selection.choose_share(batch, options["canary_percent"])
            drafts.note_selection(batch, actor=actor())
            drafts.make(batch, actor=actor())
        left_out = list(selection.left_out(batch)[: MOST_LINES + 1])
        for row in left_out[:MOST_LINES]:
            self.stderr.write(plain(LEFT_OUT.format(line=row.line, text=row.text, why=selection.why(row, source))))
        if len(left_out) > MOST_LINES:
            self.stderr.write(MORE_LEFT_OUT)
        return batch

    def _press(self, batch: Batch, goal: Step, options: dict[str, Any]) -> None:
        """Press what was asked for, as the buttons of the batch's page do."""
        if batch.closed_at:
            return
        if options["resume"] and batch.handover.paused:
            control.set_paused(batch, False, actor=actor())
        if options["cut_line"]:
            at = _moment(options["cut_line"])
            if batch.handover.cut_line != at:
                control.set_cut_line(batch, at, actor=actor())
        if options["retry_failed"]:
            self.stdout.write(RETRIED.format(count=control.retry_failed(batch, actor=actor())))
        if options["go_back"]:
            if not batch.goes_back:
                if position(batch.goal) >= position(Step.RECREATE) and options["confirm_delete"] != batch.slug:
                    said = BACK_NOT_CONFIRMED.format(target=batch.target, name=batch.slug)
                    raise CommandError(said, returncode=int(Code.NOT_CONFIRMED))
                control.go_back(batch, actor=actor(), confirm=options["confirm_delete"])
            return
        if not batch.goes_back and position(goal) > position(batch.goal):
            control.set_goal(batch, goal, actor=actor(), confirm=options["confirm_delete"])

    # -- watching

    def _watch(self, batch: Batch) -> watch.Ending:
        """Show the rows until there is nothing more to wait for."""
        last, silent, dumb = 0, 0.0, 0.0
        with display_for(self.stdout) as display:
            while True:
                try:
                    seen = watch.look(batch.pk)
                    found = watch.findings_after(batch.pk, last)
                    end = watch.ending(seen)
                    alive = end is not None or seen.paused or workers_alive()
                except (OperationalError, InterfaceError):
                    close_old_connections()
                    if dumb >= PATIENCE:
                        return watch.Ending(Code.NO_DATABASE, NO_DATABASE)
                    dumb += POLL
                else:
                    dumb, silent = 0.0, 0.0 if alive else silent + POLL
                    last = max((one.pk for one in found), default=last)
                    display.show(seen, found, workers=alive, last=end is not None)
                    if end is not None:
                        return end
                    if silent > PATIENCE:
                        return watch.Ending(Code.NO_WORKER, NO_WORKER)
                self.pause(POLL)


def _steps() -> str:
    return ", ".join(step.value.replace("_", "-") for step in FORWARD)


def _step(text: str) -> Step:
    code = text.strip().lower().replace("-", "_")
    if code not in FORWARD:
        raise CommandError(NO_STEP.format(step=plain(text), steps=_steps()))
    return Step(code)


def _moment(text: str) -> Any:
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CommandError(BAD_TIME.format(text=plain(text)))
    return at


def _known(slugs: Any) -> str:
    names = list(slugs[:20])
    return ", ".join(names) or "none"


def _workspace(slug: str) -> Workspace:
    found = Workspace.objects.select_related("region").filter(slug=slug).first()
    if found is None:
        known = _known(Workspace.objects.order_by("slug").values_list("slug", flat=True))
        raise CommandError(NO_WORKSPACE.format(slug=plain(slug), known=known))
    return found


def _customer(slug: str) -> Customer:
    found = Customer.objects.filter(slug=slug).first()
    if found is None:
        known = Customer.objects.order_by("slug").values_list("slug", flat=True)
        said = NO_CUSTOMER if known.exists() else CUSTOMERS_LATER
        raise CommandError(said.format(slug=plain(slug), known=_known(known)))
    return found


def _file(options: dict[str, Any]) -> CalendarFile | None:
    """Open the file of calendars, if one is named."""
    path, percent = options["calendars_file"], options["canary_percent"]
    if sum(bool(one) for one in (path, percent is not None, options["customer"])) > 1:
        raise CommandError(ONE_WAY)
    if percent is not None and not 1 <= percent <= 99:
        raise CommandError(BAD_PERCENT)
    if path is None:
        return None
    try:
        return open_file(path.read_bytes())
    except OSError as error:
        raise CommandError(NO_FILE.format(path=path, why=error.strerror)) from error
    except Unreadable as problem:
        raise CommandError(str(problem)) from problem


def _existing(source: Workspace, target: Workspace, customers: list[Customer], options: dict[str, Any]) -> Batch | None:
    """Find the batch that is meant: by its name, else the open one between these workspaces for the same calendars."""
    slugs, name = sorted(customer.slug for customer in customers), options["name"]
    rows = Batch.objects.filter(draft=False).select_related("source", "target", "handover")
    if name:
        found = rows.filter(slug=name).first()
        if found is None:
            return None
        if (found.source, found.target) != (source, target):
            raise CommandError(OTHER_BATCH.format(name=name, source=found.source, target=found.target))
        theirs = sorted(found.customers.values_list("slug", flat=True))
        if slugs and slugs != theirs:
            raise CommandError(OTHER_CUSTOMERS.format(name=name, customers=", ".join(theirs) or "all"))
        path, percent = options["calendars_file"], options["canary_percent"]
        if (path and found.file_name != path.name[:200]) or (percent and found.share_percent != percent):
            choice = found.file_name or found.get_selection_display()
            raise CommandError(plain(OTHER_CALENDARS.format(name=name, choice=choice)))
        return found
    open_ones = rows.filter(source=source, target=target, closed_at=None).order_by("pk")
    if path := options["calendars_file"]:
        open_ones = open_ones.filter(selection=Selection.FILE, file_name=path.name[:200])
    elif options["canary_percent"]:
        open_ones = open_ones.filter(selection=Selection.SHARE, share_percent=options["canary_percent"])
    else:
        open_ones = open_ones.filter(selection__in=[Selection.ALL, Selection.CUSTOMERS])
    fitting = [one for one in open_ones if sorted(one.customers.values_list("slug", flat=True)) == slugs]
    if len(fitting) > 1:
        raise CommandError(SEVERAL.format(names=", ".join(one.slug for one in fitting)))
    return fitting[0] if fitting else None


def _confirmed(batch: Batch | None, goal: Step, *, name: str, source: Workspace, typed: str) -> None:
    """Refuse a goal that deletes when the batch's name was not typed, or not rightly."""
    if typed and typed != name:
        raise CommandError(WRONG_NAME.format(name=name), returncode=int(Code.NOT_CONFIRMED))
    if typed or position(goal) < position(Step.DELETE_OLD) or (batch and batch.delete_confirmed_at):
        return
    said = NOT_CONFIRMED.format(step=goal.label, source=source, name=name)
    raise CommandError(said, returncode=int(Code.NOT_CONFIRMED))
