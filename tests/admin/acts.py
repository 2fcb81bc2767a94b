"""Every act on one object that the admin has. A button without a row here fails `test_every_act_is_in_the_table`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt
from django.contrib.auth.models import User

from calendars.models import (
    Application,
    AuditEntry,
    Calendar,
    Delivery,
    Event,
    Handover,
    RecordingChoice,
    Relayed,
)
from migrations_app import drafts, rehearsals
from migrations_app.models import (
    AlertChannel,
    Approval,
    Batch,
    BatchDraft,
    Finding,
    ItemStatus,
    MailTemplate,
    Message,
    Rehearsal,
    RehearsalState,
    ReportKey,
    Severity,
    ShareGroup,
)
from recallops import clock
from recallops.staff.models import Authenticator, new_secret
from tests.admin import builders as make
from tests.admin.builders import NOON


def _gone(subject: Any) -> None:
    """The state in which nothing can be done any more: for acts that every state allows."""
    type(subject).objects.filter(pk=subject.pk).delete()


def _somebody(subject: Any) -> User:
    person = make.make_staff()
    User.objects.filter(pk=person.pk).update(email="staff@recallops.example")
    return person


@dataclass(frozen=True, kw_only=True)
class Act:
    """A button: what it is pressed on, what is posted, who may, when not, and what makes its page a stale one."""

    name: str
    """Of the model and the method, as in its URL's name."""
    build: Callable[[], Any]
    needs: str
    """The permission."""
    data: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]
    wrong: Callable[[Any], None] = _gone
    refusal: str = "exist"
    meanwhile: Callable[[Any], None] | None = None
    """What somebody else does after the page was shown; none: what brings it into the wrong state."""
    person: Callable[[Any], User] = _somebody
    """Who presses, with the permissions that are needed."""
    entries: int = 1
    """On record afterwards: one, and one more where it lets another act be done."""

    def posted(self, subject: Any) -> dict[str, Any]:
        """Return the fields of its form."""
        return dict(self.data(subject) if callable(self.data) else self.data)

    def press_by_another(self, subject: Any) -> None:
        """Change what the page showed."""
        (self.meanwhile or self.wrong)(subject)


# --- states


def _closed(batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk).update(closed_at=NOON)


def _paused(batch: Batch) -> None:
    Handover.objects.filter(pk=batch.handover_id).update(paused=True)


def _resumed(batch: Batch) -> None:
    Handover.objects.filter(pk=batch.handover_id).update(paused=False)


def _another_goal(batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk).update(goal="preflight")


def _batch_that_failed() -> Batch:
    batch = make.make_batch()
    make.make_item(batch, status=ItemStatus.FAILED, reason="The provider refused it.")
    return batch


def _known_batch() -> Batch:
    batch = make.make_batch()
    make.make_event(make.make_connection(batch.source))
    return batch


def _batch_of_one_customer() -> Batch:
    batch = make.make_batch()
    make.make_item(batch)
    return batch


def _ended(row: Rehearsal) -> None:
    Rehearsal.objects.filter(pk=row.pk).update(state=RehearsalState.DONE)


def _paused_batch() -> Batch:
    batch = make.make_batch()
    _paused(batch)
    return batch


def _waived(finding: Finding) -> None:
    Finding.objects.filter(pk=finding.pk).update(waived_at=NOON, waived_reason="known")


def _event() -> Event:
    return make.make_event(make.make_connection(make.make_workspace()))


def _chosen_event() -> Event:
    event = _event()
    make.make_choice(event.occurrence)
    return event


def _chosen_by_another(event: Event) -> None:
    make.make_choice(event.occurrence, record=False, reason="by somebody else")


def _not_chosen(event: Event) -> None:
    RecordingChoice.objects.filter(occurrence=event.occurrence_id).delete()


def _with_second_factor() -> User:
    person = make.make_staff()
    Authenticator.objects.create(user=person, name="authenticator", secret=new_secret())
    return person


def _without_second_factor(person: User) -> None:
    Authenticator.objects.filter(user=person).delete()


def _failed_log_in() -> AccessAttempt:
    return make.make_failed_log_in()


def _failed_again(attempt: AccessAttempt) -> None:
    AccessAttempt.objects.filter(pk=attempt.pk).update(failures_since_start=4)


def _moved(event: Event) -> None:
    Event.objects.filter(pk=event.pk).update(start=event.start + timedelta(hours=1))


def _application() -> Application:
    application = make.make_application()
    make.make_application_secret(application)
    make.make_workspace(application=application)
    return application


def _unused_application() -> Application:
    application = make.make_application()
    make.make_application_secret(application)
    return application


def _with(state: str, *, due_in: timedelta = timedelta(0)) -> Callable[[], Application]:
    def build() -> Application:
        application = _application()
        delivery = make.make_delivery(make.make_endpoint(application.workspaces.get()))
        make.make_relayed(application, delivery, state=state, due_at=clock.now() + due_in)
        return application

    return build


def _stopped_sending() -> Application:
    application = _application()
    _stopped(application)
    return application


def _stopped(application: Application) -> None:
    Application.objects.filter(pk=application.pk).update(paused=True)


def _sending(application: Application) -> None:
    Application.objects.filter(pk=application.pk).update(paused=False)


def _nothing_passed_on(application: Application) -> None:
    Relayed.objects.filter(application=application).delete()
    Delivery.objects.all().delete()


def _act_by_another(subject: Any) -> None:
    AuditEntry.objects.record(actor=None, action="another.act", subject=subject)


def _delivery() -> Delivery:
    return make.make_delivery(make.make_endpoint(make.make_workspace()))


def _waits(row: Any) -> None:
    state = {Delivery: Delivery.State.RECEIVED, Relayed: Relayed.State.WAITING}[type(row)]
    type(row).objects.filter(pk=row.pk).update(state=state)


def _given_up() -> Relayed:
    return make.make_relayed(make.make_application(), _delivery(), state=Relayed.State.DEAD)


def _group(exception: str = "") -> ShareGroup:
    batch = make.make_batch()
    make.make_external(batch)
    group = make.make_share_group(batch, items=(make.make_item(batch),))
    calendars = tuple(Calendar.objects.filter(connections__items__group=group))
    make.make_assignment(batch.source, calendars=calendars, start=clock.now(), exception=exception)
    return group


def _cut(group: ShareGroup) -> None:
    ShareGroup.objects.filter(pk=group.pk).update(state=ShareGroup.State.CUT, cut_at=NOON)


def _meeting(group: ShareGroup) -> dict[str, Any]:
    calendar = Calendar.objects.get(connections__items__group=group)
    (occurrence,) = calendar.occurrences.all()
    return {"meeting": occurrence.assignment_id, "reason": "a town hall"}


def _decided(approval: Approval) -> None:
    Approval.objects.filter(pk=approval.pk).update(state=Approval.State.WITHDRAWN, decided_at=NOON)


def _revoked(token: Any) -> None:
    type(token).objects.filter(pk=token.pk).update(revoked_at=NOON)


def _answered(inquiry: Any) -> None:
    type(inquiry).objects.filter(pk=inquiry.pk).update(answered_at=NOON)


def _not_sent() -> Message:
    return make.make_message(make.make_batch(), state=Message.State.FAILED, problem="The mail server refused it.")


def _sent(message: Message) -> None:
    Message.objects.filter(pk=message.pk).update(state=Message.State.SENT)


def _template() -> MailTemplate:
    return MailTemplate.objects.get_or_create(milestone="planned", defaults={"subject": "S", "text": "T"})[0]


def _channel_that_gave_up() -> AlertChannel:
    channel = make.make_channel()
    make.make_alert(channel=channel, state="failed")
    return channel


def _nothing_given_up(channel: AlertChannel) -> None:
    channel.posts.all().delete()


def _retired(key: ReportKey) -> None:
    ReportKey.objects.filter(pk=key.pk).update(retired_at=NOON)


def _draft() -> BatchDraft:
    pair = (make.make_workspace(), make.make_workspace())
    draft = drafts.begin(slug="", source=pair[0], target=pair[1], actor=None)
    return BatchDraft.objects.get(pk=draft.pk)


def _made(draft: BatchDraft) -> None:
    Batch.objects.filter(pk=draft.pk).update(draft=False)


# --- the table

DRIVE = "migrations_app.change_batch"
PUT_TOGETHER = "migrations_app.add_batch"
RELAY = "calendars.change_application"
CHOOSE = "calendars.change_recordingchoice"
ASKED = {"reason": "the client asked"}

ACTS = [
    Act(
        name="batch_goal",
        build=make.make_batch,
        needs=DRIVE,
        data={"step": "preflight"},
        wrong=_closed,
        refusal="closed",
    ),
    Act(name="batch_check_again", build=make.make_batch, needs=DRIVE, data={}, wrong=_closed, refusal="closed"),
    *(
        Act(
            name=f"batchdraft_{act}",
            build=_draft,
            needs=PUT_TOGETHER,
            data={},
            wrong=_made,
            refusal="no draft any more",
        )
        for act in ("run_checks", "read_source", "make", "discard")
    ),
    Act(
        name="batch_cut_line",
        build=make.make_batch,
        needs=DRIVE,
        data={"at": "2026-11-24 06:00"},
        wrong=_closed,
        refusal="closed",
        meanwhile=_another_goal,
    ),
    Act(
        name="batch_postpone_until",
        build=_batch_of_one_customer,
        needs=DRIVE,
        data={"until": "2026-11-30 06:00"},
        wrong=_closed,
        refusal="closed",
    ),
    Act(
        name="batch_pause",
        build=make.make_batch,
        needs=DRIVE,
        data={"reason": "lunch"},
        wrong=_paused,
        refusal="changed this batch",
    ),
    Act(name="batch_resume", build=_paused_batch, needs=DRIVE, data={}, wrong=_resumed, refusal="changed this batch"),
    Act(name="batch_go_back", build=make.make_batch, needs=DRIVE, data={}, wrong=_closed, refusal="closed"),
    Act(name="batch_rehearse", build=_known_batch, needs=DRIVE, data={}, wrong=_closed, refusal="closed"),
    Act(
        name="rehearsal_stop",
        build=lambda: rehearsals.ask(_known_batch(), actor=None),
        needs=DRIVE,
        data={},
        wrong=_ended,
        refusal="ended already",
    ),
    Act(name="batch_retry_failed", build=_batch_that_failed, needs=DRIVE, data={}, wrong=_closed, refusal="closed"),
    Act(
        name="batch_leave_failed",
        build=_batch_that_failed,
        needs=DRIVE,
        data={"reason": "they left the company"},
        wrong=_closed,
        refusal="closed",
    ),
    Act(
        name="batch_numbers",
        build=make.make_batch,
        needs=DRIVE,
        data={"soak": "2 00:00:00", "canary_wait": "00:30:00", "drivers": "2"},
        wrong=_closed,
        refusal="closed",
    ),
    Act(
        name="batch_tell_customers",
        build=make.make_batch,
        needs=DRIVE,
        data={"on": "1", "reason": "agreed with them"},
        wrong=_closed,
        refusal="closed",
    ),
    Act(
        name="message_send_again",
        build=_not_sent,
        needs="migrations_app.change_message",
        data={"reason": "their server is well again"},
        wrong=_sent,
        refusal="Only what was not sent",
    ),
    Act(
        name="mailtemplate_send_test",
        build=_template,
        needs="migrations_app.change_mailtemplate",
        data={},
        wrong=lambda template: User.objects.update(email=""),
        refusal="no e-mail address",
        meanwhile=_act_by_another,
    ),
    Act(
        name="alertchannel_send_test",
        build=make.make_channel,
        needs="migrations_app.change_alertchannel",
        data={},
        meanwhile=_act_by_another,
    ),
    Act(
        name="alertchannel_send_given_up",
        build=_channel_that_gave_up,
        needs="migrations_app.change_alertchannel",
        data={},
        wrong=_nothing_given_up,
        refusal="Nothing was given up",
        meanwhile=_act_by_another,
    ),
    Act(
        name="reportkey_retire",
        build=make.make_report_key,
        needs="migrations_app.change_reportkey",
        data={"reason": "it leaked"},
        wrong=_retired,
        refusal="retired already",
    ),
    Act(
        name="approval_approve",
        build=make.make_approval,
        needs="migrations_app.approve",
        data={},
        wrong=_decided,
        refusal="not waiting any more",
        entries=2,
    ),
    Act(
        name="approval_refuse",
        build=make.make_approval,
        needs="migrations_app.approve",
        data={"reason": "not before Monday"},
        wrong=_decided,
        refusal="not waiting any more",
    ),
    Act(
        name="approval_withdraw",
        build=make.make_approval,
        needs=DRIVE,
        data={},
        wrong=_decided,
        refusal="not waiting any more",
        person=lambda approval: approval.asked_by,
    ),
    Act(
        name="finding_waive",
        build=lambda: make.make_finding(make.make_batch(), severity=Severity.BLOCKING),
        needs="migrations_app.waive_blocking",
        data={"reason": "agreed with the customer"},
        wrong=_waived,
        refusal="already waived",
    ),
    Act(
        name="sharegroup_accept",
        build=_group,
        needs=DRIVE,
        data=_meeting,
        wrong=_cut,
        refusal="is cut already",
    ),
    Act(
        name="sharegroup_accept_no_more",
        build=lambda: _group("a town hall"),
        needs=DRIVE,
        data=_meeting,
        wrong=_cut,
        refusal="is cut already",
    ),
    Act(name="event_record", build=_event, needs=CHOOSE, data=ASKED, meanwhile=_chosen_by_another),
    Act(name="event_do_not_record", build=_event, needs=CHOOSE, data=ASKED, meanwhile=_moved),
    Act(
        name="event_as_the_policy_says",
        build=_chosen_event,
        needs=CHOOSE,
        data={},
        wrong=_not_chosen,
        refusal="Nothing was chosen",
    ),
    Act(
        name="apikey_test_connection",
        build=lambda: make.make_key(make.make_workspace()),
        needs="calendars.change_apikey",
        data={},
        meanwhile=_act_by_another,
    ),
    Act(
        name="apitoken_revoke",
        build=lambda: make.make_token()[0],
        needs="calendars.change_apitoken",
        data={},
        wrong=_revoked,
        refusal="already",
    ),
    Act(
        name="inquiry_answered",
        build=make.make_inquiry,
        needs="migrations_app.change_inquiry",
        data={},
        wrong=_answered,
        refusal="already",
    ),
    Act(
        name="statuslink_revoke",
        build=lambda: make.make_status_link()[0],
        needs="migrations_app.change_statuslink",
        data={},
        wrong=_revoked,
        refusal="already",
    ),
    Act(
        name="delivery_try_again",
        build=_delivery,
        needs="calendars.change_delivery",
        data={},
        wrong=_waits,
        refusal="",
    ),
    Act(
        name="relayed_send_again",
        build=_given_up,
        needs="calendars.change_relayed",
        data={},
        wrong=_waits,
        refusal="It waits already",
    ),
    Act(
        name="application_send_test",
        build=_unused_application,
        needs=RELAY,
        data={},
        meanwhile=_act_by_another,
    ),
    Act(name="application_pause", build=_application, needs=RELAY, data={}, wrong=_stopped, refusal="paused already"),
    Act(name="application_go_on", build=_stopped_sending, needs=RELAY, data={}, wrong=_sending, refusal="not paused"),
    Act(
        name="application_hasten",
        build=_with(Relayed.State.WAITING, due_in=timedelta(hours=2)),
        needs=RELAY,
        data={},
        wrong=_nothing_passed_on,
        refusal="Nothing waits",
        meanwhile=_act_by_another,
    ),
    Act(
        name="application_send_given_up",
        build=_with(Relayed.State.DEAD),
        needs=RELAY,
        data={},
        wrong=_nothing_passed_on,
        refusal="Nothing was given up",
        meanwhile=_act_by_another,
    ),
    Act(
        name="application_replay",
        build=_with(Relayed.State.DELIVERED),
        needs=RELAY,
        data={"since": "2026-11-23 11:00"},
        wrong=_nothing_passed_on,
        refusal="2026-11-23 11:00",
        meanwhile=_act_by_another,
    ),
    Act(
        name="user_reset_second_factor",
        build=_with_second_factor,
        needs="auth.change_user",
        data={},
        wrong=_without_second_factor,
        refusal="no second factor",
    ),
    Act(
        name="accessattempt_forgive",
        build=_failed_log_in,
        needs="auth.change_user",
        data={},
        meanwhile=_failed_again,
    ),
]
