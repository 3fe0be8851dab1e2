"""Where webhooks may go, by the form of the URL alone; what WEBHOOK_URLS and WEBHOOK_SECRET may say."""

from base64 import b64encode
from ipaddress import ip_address
from typing import Any

import pytest
from pytest_django import Settings

from accounts.conf import AccountsSettings
from accounts.receivers import Receiver, UnusableUrl, is_public
from events.conf import Problem

SECRET = f"whsec_{b64encode(b'CANARY: thirty-two random bytes!').decode()}"


def receiver_of(url: str, *, allow_http: bool = False, allow_private: bool = False) -> Receiver:
    return Receiver.of(url, allow_http=allow_http, allow_private=allow_private)


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("https://hooks.example", "hooks.example", 443, "/", "hooks.example"),
        ("https://Hooks.Example:443/A?b=c&d", "hooks.example", 443, "/A?b=c&d", "hooks.example"),
        ("HTTPS://hooks.example:8443/", "hooks.example", 8443, "/", "hooks.example:8443"),
        ("https://hooks.example?b=c", "hooks.example", 443, "/?b=c", "hooks.example"),
        ("https://xn--bcher-kva.example/%2C", "xn--bcher-kva.example", 443, "/%2C", "xn--bcher-kva.example"),
        ("https://93.184.216.34/", "93.184.216.34", 443, "/", "93.184.216.34"),
        ("https://[2606:2800:220:1::1]:8443/", "2606:2800:220:1::1", 8443, "/", "[2606:2800:220:1::1]:8443"),
        ("https://a_b.0x.example/", "a_b.0x.example", 443, "/", "a_b.0x.example"),
    ],
)
def test_a_url_of_a_public_host_is_fine(url: str, host: str, port: int, target: str, authority: str) -> None:
    receiver = receiver_of(url)

    assert (receiver.scheme, receiver.host, receiver.port, receiver.target) == ("https", host, port, target)
    assert receiver.authority == authority


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://hooks.example/", "http"),
        ("https://hooks.example:80/", "port 80"),
        ("https://hooks.example:22/", "port 22"),
        ("https://hooks.example:70000/", "port 70000"),
        ("https://127.0.0.1/", "an address that is not public"),
        ("https://10.0.0.1/", "an address that is not public"),
        ("https://169.254.169.254/latest", "an address that is not public"),
        ("https://[::1]/", "an address that is not public"),
        ("https://[::ffff:10.0.0.1]/", "an address that is not public"),
        ("https://[64:ff9b::a00:1]/", "an address that is not public"),
        ("https://0/", "an address in no usual form"),
        ("https://2130706433/", "an address in no usual form"),
        ("https://0x7f.1/", "an address in no usual form"),
        ("https://0x7f000001/", "an address in no usual form"),
        ("https://0177.0.0.1/", "an address in no usual form"),
        ("https://127.1/", "an address in no usual form"),
        ("https://[93.184.216.34]/", "something else"),
        ("https://[93.184.216.34]/:", "something else"),
        ("https://[::1::]/", "an address in no usual form"),
        ("https://user@hooks.example/", "something else"),
        ("https://user:CANARY@hooks.example/", "something else"),
        ("https://hooks.example\\@127.0.0.1/", "something else"),
        ("https://hooks.example/#a", "something else"),
        ("https://hooks.example/a b", "something else"),
        ("https://hooks.example/a\r\nHost: b", "something else"),
        ("https://hooks.example/\x00", "something else"),
        ("https://bücher.example/", "something else"),
        ("https://hooks。example/", "something else"),
        ("https://hooks.example./", "something else"),
        ("https://hooks..example/", "something else"),
        (f"https://{64 * 'a'}.example/", "something else"),
        ("https://hooks.example:/", "something else"),
        ("https://hooks.example:0443/", "something else"),
        ("https:///", "something else"),
        ("https:hooks.example", "something else"),
        ("//hooks.example/", "something else"),
        ("ftp://hooks.example/", "something else"),
        ("file:///etc/passwd", "something else"),
        (" https://hooks.example/", "something else"),
        ("https://hooks.example/\n", "something else"),
        ("", "something else"),
    ],
)
def test_any_other_is_refused(url: str, fault: str) -> None:
    with pytest.raises(UnusableUrl) as refused:
        receiver_of(url)

    assert str(refused.value) == fault


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://hooks.example/", {"allow_http": True}),
        ("http://hooks.example:8080/", {"allow_http": True}),
        ("https://127.0.0.1:9000/", {"allow_private": True}),
        ("https://[fd00::1]/", {"allow_private": True}),
        ("http://localhost:9000/", {"allow_http": True, "allow_private": True}),
    ],
)
def test_a_setting_allows_more_and_no_more_than_it_says(url: str, allowed: dict[str, bool]) -> None:
    receiver_of(url, **allowed)

    for name in allowed:
        with pytest.raises(UnusableUrl):
            receiver_of(url, **{**allowed, name: False})


@pytest.mark.parametrize("url", ["http://hooks.example:443/", "http://hooks.example:8443/"])
def test_http_has_ports_of_its_own(url: str) -> None:
    with pytest.raises(UnusableUrl):
        receiver_of(url, allow_http=True)


@pytest.mark.parametrize("address", ["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "172.15.255.255", "172.32.0.0", "223.255.255.255", "2606:2800:220:1::1", "2a00::1"])  # fmt: skip
def test_what_is_beside_the_special_networks_is_public(address: str) -> None:
    assert is_public(ip_address(address))


# the settings -------------------------------------------------------------------------------------------------


def problems_of(settings: Settings, **given: Any) -> list[Problem]:
    settings.ACCOUNTS = {**settings.ACCOUNTS, **given}
    return AccountsSettings.current().problems()


def test_without_receivers_no_secret_is_needed(settings: Settings) -> None:
    assert problems_of(settings, WEBHOOK_URLS=(), WEBHOOK_SECRET="") == []


@pytest.mark.parametrize("secret", [SECRET, f"{SECRET},whsec_{b64encode(24 * b'x').decode()}"])
def test_receivers_and_a_secret_are_fine(settings: Settings, secret: str) -> None:
    urls = ("https://hooks.example/a", "https://hooks.example/b")
    assert problems_of(settings, WEBHOOK_URLS=urls, WEBHOOK_SECRET=secret) == []


@pytest.mark.parametrize(
    ("secret", "got"),
    [
        ("", "nothing"),
        (SECRET.removeprefix("whsec_"), "something else"),
        ("whsec_CANARY!", "something else"),
        ("whsec_CANÄRY", "something else"),
        (f"whsec_{b64encode(23 * b'x').decode()}", "23 bytes"),
        ("whsec_", "0 bytes"),
        (f"{SECRET},whsec_{b64encode(23 * b'x').decode()}", "as number 2: 23 bytes"),
        (f"{SECRET},", "as number 2: nothing"),
        (f"{SECRET}, {SECRET}", "as number 2: something else"),
        (f"CANARY,{SECRET}", "as number 1: something else"),
    ],
)
def test_a_secret_that_is_none_is_told_without_its_value(settings: Settings, secret: str, got: str) -> None:
    [problem] = problems_of(settings, WEBHOOK_URLS=("https://hooks.example/",), WEBHOOK_SECRET=secret)

    assert (problem.name, problem.got) == ("WEBHOOK_SECRET", got)
    assert not secret or secret.removeprefix("whsec_")[:6] not in str(problem) or secret == "whsec_"


def test_each_url_that_cannot_be_used_is_told_by_its_place_alone(settings: Settings) -> None:
    urls = ("https://hooks.example:9000/?token=CANARY", "https://hooks.example/", "https://u:CANARY@hooks.example/")
    problems = problems_of(settings, WEBHOOK_URLS=urls, WEBHOOK_SECRET=SECRET)

    assert [problem.name for problem in problems] == ["WEBHOOK_URLS"] * 2
    assert [problem.got for problem in problems] == ["as number 1: port 9000", "as number 3: something else"]


def test_neither_urls_nor_secret_are_in_the_settings_repr(settings: Settings) -> None:
    urls = ("https://hooks.example/?token=CANARY",)
    settings.ACCOUNTS = {**settings.ACCOUNTS, "WEBHOOK_URLS": urls, "WEBHOOK_SECRET": SECRET}
    told = repr(AccountsSettings.current())

    assert "CANARY" not in told
    assert SECRET not in told
