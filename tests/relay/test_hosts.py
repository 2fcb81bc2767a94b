"""Where requests of the relay may go: nowhere but to the allowed hosts, and into no private network."""

from __future__ import annotations

from typing import Any

import pytest

from calendars.relay import hosts
from calendars.relay.hosts import Forbidden, check, is_public, place

PUBLIC = "93.184.216.34"
PRIVATE = [
    "0.0.0.0", "0.1.2.3",  # noqa: S104
    "10.0.0.1", "10.255.255.255", "100.64.0.1", "127.0.0.1", "127.1.2.3", "169.254.169.254",
    "172.16.0.1", "172.31.255.254", "192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::a00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1",
    "2001:db8::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1",
    "not an address", "", "127.0.0.1.example",
]  # fmt: skip
STRANGE_URLS = [
    "", "application", "//example.com/x", "ftp://example.com/x", "file:///etc/passwd", "gopher://example.com/",
    "javascript:alert(1)", "data:text/plain,x", "https://", "https:///x", "https://:443/x", "https://exa mple.com/",
    "https://example.com/\r\nhost: other", "https://example.com/\n", "https://example.com\\@127.0.0.1/",
    "https://user@example.com/", "https://user:word@example.com/", "https://example.com:99999/", "https://[::1/",
    "https://example.com/#part", "https://example.com:-1/", "https://ex%61mple.com/", "https://[fe80::1%25eth0]/",
    "https://bücher.example/", "https://example.com/ü", "http://example.com/", " https://example.com/", "\thttps://a/",
    "https://example.com:port/",
]  # fmt: skip
pytestmark = pytest.mark.usefixtures("the_internet_only")
NUMBERS = ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "017700000001", "127.0.1", "0", "localhost", "LOCALHOST."]


@pytest.fixture
def the_internet_only(settings: Any) -> None:
    """As it is without a setting."""
    settings.RELAY_PRIVATE = False


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_the_internets_own_is_refused_in_whatever_form(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(Forbidden):
        place("https://example.com/hook", resolve=lambda host, port: [address])


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(Forbidden, match=r"private network \(10\.0\.0\.1\)"):
        place("https://example.com/hook", resolve=lambda host, port: [PUBLIC, "10.0.0.1"])


@pytest.mark.parametrize("url", STRANGE_URLS)
def test_what_is_no_plain_https_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(Forbidden) as refused:
        place(url, resolve=lambda host, port: [PUBLIC])
    assert str(refused.value).endswith((".", "host.", ")"))


@pytest.mark.parametrize("host", NUMBERS)
def test_numbers_and_local_names_are_looked_up_like_any_other_and_refused(host: str) -> None:
    with pytest.raises(Forbidden):
        place(f"https://{host}/hook")


def test_the_request_goes_to_the_address_that_was_looked_at() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    found = place("https://Hooks.Example.com:8443/in?token=x", resolve=lambda host, port: next(answers))
    assert (found.host, found.port, found.address) == ("hooks.example.com", 8443, PUBLIC)


@pytest.mark.parametrize("failure", [OSError("no"), UnicodeError("label too long")])
def test_a_host_that_cannot_be_found_is_said_to_be_unknown(failure: Exception) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise failure

    with pytest.raises(Forbidden, match="not known to the name service"):
        place("https://example.com/", resolve=fail)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("hooks.example.com", True),
        ("HOOKS.EXAMPLE.COM", True),
        ("hooks.example.com.", True),
        ("a.b.inside.example", True),
        ("inside.example", False),
        ("example.com", False),
        ("hooks.example.com.evil.example", False),
        ("evilhooks.example.com", False),
        ("notinside.example", False),
    ],
)
def test_only_allowed_hosts_are_gone_to_when_some_are_named(settings: Any, host: str, allowed: bool) -> None:
    settings.RELAY_HOSTS = ["hooks.example.com", ".inside.example"]
    if allowed:
        check(f"https://{host}/")
    else:
        with pytest.raises(Forbidden, match="RELAY_HOSTS"):
            check(f"https://{host}/")


def test_private_networks_and_plain_http_are_allowed_by_setting_only(settings: Any) -> None:
    settings.RELAY_PRIVATE = False
    with pytest.raises(Forbidden, match="https"):
        check("http://10.0.0.1/")
    settings.RELAY_PRIVATE = True
    assert place("http://10.0.0.1:8000/x").address == "10.0.0.1"


def test_the_name_service_is_asked_for_what_the_url_names() -> None:
    assert hosts.addresses_of("127.0.0.1", 80) == ["127.0.0.1"]
