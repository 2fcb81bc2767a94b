"""Before the first move: the list, its ticks, where it leads, and when it goes."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client, RequestFactory
from django.utils import timezone

from calendars.models import ApiKey, Region, WebhookEndpoint
from calendars.providers.dashboards import vendor_pages
from migrations_app.admin import first_run
from migrations_app.admin.first_run import STEPS
from migrations_app.admin.texts import ROLES as EXPLAINED
from migrations_app.roles import ROLES
from recallops import clock
from recallops.admin_counts import bounded_counts
from recallops.models import WorkerHeartbeat
from recallops.staff.models import Authenticator
from tests.admin import builders as make

pytestmark = pytest.mark.django_db
CODES = [step.code for step in STEPS]


def ticks(client: Client, url: str = "/admin/") -> dict[str, str]:
    """Return what stands before each step."""
    page = re.sub(r"\s+", " ", client.get(url).content.decode())
    if 'id="h-first"' not in page:
        return {}
    part = page[page.index('id="h-first"') :]
    words = re.findall(r'<li class="[^"]*"> <p><span class="ro-badge [^"]*">([^<]*)</span>', part)
    return dict(zip(CODES, words[: len(CODES)], strict=True))


def test_an_empty_installation_is_told_what_to_do_first(chief: Client) -> None:
    assert ticks(chief) == dict.fromkeys(CODES, "0 of 2") | {"workers": "0 of 1", "batch": "0 of 1"}
    page = chief.get("/admin/").content.decode()
    for code in CODES:
        if code != "workers":
            assert f'id="first-{code}"' in page


def test_each_step_is_ticked_by_the_rows_and_the_list_goes_when_all_are(chief: Client) -> None:
    done: list[str] = []

    def tick(*codes: str) -> None:
        done.extend(codes)
        shown = ticks(chief)
        assert [code for code, word in shown.items() if word == "done"] == [code for code in CODES if code in done]

    source = make.make_workspace("us")
    assert ticks(chief)["workspaces"] == "1 of 2"
    target = make.make_workspace("eu", region=make.make_region("eu-central-1"))
    tick("workspaces")
    make.make_key(source)
    make.make_key(source)
    assert ticks(chief)["keys"] == "1 of 2", "two keys of one workspace open one workspace"
    make.make_key(target)
    tick("keys")
    ApiKey.objects.update(test_passed=False)
    tick()
    ApiKey.objects.update(test_passed=True)
    tick("tested")
    for workspace in (source, target):
        make.make_endpoint(workspace)
    tick("endpoints")
    for workspace in (source, target):
        make.make_webhook_secret(workspace)
    tick("secrets")
    WebhookEndpoint.objects.update(last_at=clock.now())
    tick("heard")
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=timezone.now())
    tick("workers")
    make.make_batch(source=source, target=target)
    assert ticks(chief) == {}, "it is gone from the first page"
    assert set(ticks(chief, "/admin/help/").values()) == {"done"}, "and stays on the help page"


def test_a_second_factor_is_on_the_list_only_where_staff_are_asked_for_one(settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = True
    assert [step.code for step in first_run.steps()] == ["factor", *CODES]
    settings.STAFF_SECOND_FACTOR = False
    assert [step.code for step in first_run.steps()] == CODES


def test_ones_own_second_factor_ticks_it(settings: Any, rf: RequestFactory) -> None:
    settings.STAFF_SECOND_FACTOR = True
    request = rf.get("/admin/")
    request.user = make.make_staff("chief", superuser=True)
    for user in (make.make_staff("other"), request.user):
        assert not first_run.lines(request, bounded_counts(first_run.rows(request)))[0].done
        Authenticator.objects.create(user=user, name="app", secret="JBSWY3DPEHPK3PXP")
    line = first_run.lines(request, bounded_counts(first_run.rows(request)))[0]
    assert (line.step.code, line.done, line.url) == ("factor", True, "/admin/second-factor/")


def test_what_is_switched_off_ticks_nothing(chief: Client) -> None:
    for slug in ("us", "eu"):
        workspace = make.make_workspace(slug)
        make.make_key(workspace, enabled=False, test_passed=True)
        make.make_endpoint(workspace, enabled=False)
        make.make_webhook_secret(workspace, enabled=False)
    shown = ticks(chief)
    assert {code for code, word in shown.items() if word == "done"} == {"workspaces"}


def test_every_step_leads_to_a_page_that_opens(chief: Client) -> None:
    page = chief.get("/admin/").content.decode()
    for url in re.findall(r'id="first-\w+" href="([^"]+)"', page):
        assert chief.get(unescape(url), follow=True).status_code == 200


def test_the_list_shows_links_to_those_only_who_may_follow_them(looker: Client, client: Client) -> None:
    page = looker.get("/admin/").content.decode()
    for url in re.findall(r'id="first-\w+" href="([^"]+)"', page):
        assert looker.get(unescape(url)).status_code == 200
        assert "/add/" not in url
    client.force_login(make.make_staff("nobody"))
    assert ticks(client) == {}
    assert ticks(client, "/admin/help/") == {}


# --- help


def test_the_help_page_explains_steps_words_and_roles(chief: Client) -> None:
    page = chief.get("/admin/help/").content.decode()
    for word in ("Preflight", "Hand over", "cut line", "frozen", "soak"):
        assert word in page
    assert [str(name) for name, _ in EXPLAINED] == list(ROLES)
    assert Group.objects.filter(name__in=ROLES).count() == len(ROLES)


def test_the_help_page_takes_few_queries(chief: Client, django_assert_max_num_queries: object) -> None:
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        chief.get("/admin/help/")


def test_only_staff_read_it(client: Client) -> None:
    assert client.get("/admin/help/").status_code == 302


# --- the vendor's dashboards


def test_a_region_of_the_vendor_has_pages_in_its_own_dashboard() -> None:
    pages = vendor_pages(Region(provider="recall", code="eu-central-1", base_url="https://eu-central-1.recall.ai"))
    assert [page.code for page in pages] == ["keys", "webhooks", "google", "microsoft"]
    assert {page.url.partition("/dashboard/")[0] for page in pages} == {"https://eu-central-1.recall.ai"}


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:9000",
        "https://recall.ai.evil.example",
        "https://evilrecall.ai",
        "http://us-west-2.recall.ai",
        "https://proxy.example/us-west-2.recall.ai",
        "javascript:alert(1)//.recall.ai",
    ],
)
def test_what_is_not_the_vendors_own_address_has_none(base_url: str) -> None:
    region = Region(provider="recall", code="x", base_url=base_url)
    assert vendor_pages(region) == []


def test_a_provider_without_a_table_has_none() -> None:
    assert vendor_pages(Region(provider="nylas", code="eu", base_url="https://api.eu.nylas.com")) == []


def test_links_to_the_vendor_tell_it_nothing(chief: Client) -> None:
    make.make_region("eu-central-1")
    workspace = make.make_workspace("us", region=make.make_region("us-west-2"))
    endpoint = make.make_endpoint(workspace)
    for url in (
        "/admin/help/",
        f"/admin/calendars/workspace/{workspace.pk}/change/",
        f"/admin/calendars/webhookendpoint/{endpoint.pk}/change/",
        f"/admin/calendars/region/{workspace.region_id}/change/",
    ):
        page = chief.get(url).content.decode()
        found = re.findall(r'<a [^>]*href="https://us-west-2\.recall\.ai/dashboard/[^"]*"[^>]*>', page)
        assert found, url
        assert all("noreferrer" in one and 'target="_blank"' in one for one in found)
