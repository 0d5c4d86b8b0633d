"""Which URLs an endpoint may have, and which addresses a server connects to for it."""

import pytest

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy.reach import Reach, check_endpoint_url, reach


@pytest.mark.parametrize(
    "url",
    [
        "http://app.test",
        "https://app.test/ironflow?a=b&c=%20",
        "http://127.0.0.1:3000/api/ironflow",
        "http://[::1]:3000/",
        "HTTP://App.Test?x",
        "http://bücher.test/",
    ],
)
def test_a_url_of_an_endpoint_passes(url: str) -> None:
    check_endpoint_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.test",
        "ftp://app.test",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://user@app.test",
        "http://user:password@app.test/",
        "http://app.test/#there",
        "http://app.test#there",
        "http://app.test/a b",
        "http://app.test/\n",
        "http://app.test/ä",
        "http://app.test\\@other.test/",
        "http://app.test/a\\b",
        "http://app.test:port/",
        "http://app.test:123456/",
        "http://[::1/",
        "http://[x]/",
        "http://a%2eb/",
        "gopher://app.test",
    ],
)
def test_what_is_no_url_of_an_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http://host") as caught:
        check_endpoint_url(url)
    assert "password@" not in str(caught.value)


def test_a_url_has_a_length() -> None:
    url = "http://app.test/"
    check_endpoint_url(url.ljust(limits.ENDPOINT_URL_CHARS_MAX, "a"))
    with pytest.raises(ConfigurationError, match="at most"):
        check_endpoint_url(url.ljust(limits.ENDPOINT_URL_CHARS_MAX + 1, "a"))


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "::1",
        "fd12::1",
        "2600::",
    ],
)
def test_public_private_and_own_addresses_are_called(address: str) -> None:
    assert Reach().refusal("app.test", address) == ""


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "::ffff:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_addresses_that_no_endpoint_has_are_not(address: str) -> None:
    for each in (Reach(), reach(allow="0.0.0.0/0,::/0,app.test")):
        assert "no endpoint has" in each.refusal("app.test", address)


def test_one_of_them_may_be_named() -> None:
    named = reach(allow="169.254.10.0/24, 10.0.0.0/8")

    assert named.refusal("app.test", "169.254.10.7") == ""
    assert "no endpoint has" in named.refusal("app.test", "169.254.169.254")
    assert reach(allow="fe80::/16").refusal("app.test", "fe80::2") == ""


def test_what_is_denied_is_denied_first() -> None:
    denied = reach(allow="*.test", deny="127.0.0.0/8, ::1, Bad.Test., *.low.test")

    assert "--push-deny" in denied.refusal("app.test", "127.0.0.1")
    assert "--push-deny" in denied.refusal("app.test", "::ffff:127.0.0.1")
    assert "--push-deny" in denied.refusal("app.test", "::1")
    assert "--push-deny" in denied.refusal("BAD.test.", "10.0.0.1")
    assert "--push-deny" in denied.refusal("a.low.test", "10.0.0.1")
    assert denied.refusal("low.test", "10.0.0.1") == ""


def test_with_a_list_nothing_else_is_called() -> None:
    allowed = reach(allow="10.0.0.0/8, fd00::/8, hooks.test, *.shop.test,")

    assert allowed.refusal("any.test", "10.9.9.9") == ""
    assert allowed.refusal("any.test", "fd00::1") == ""
    assert allowed.refusal("hooks.test", "93.184.216.34") == ""
    assert allowed.refusal("a.shop.test", "93.184.216.34") == ""
    for host in ("other.test", "shop.test", "xshop.test", "hooks.test.evil.test"):
        assert "--push-allow" in allowed.refusal(host, "93.184.216.34")


@pytest.mark.parametrize("text", ["10.0.0.0/99", "a b", "http://a", "*", "a.*.b", "@"])
def test_an_entry_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="push-deny: '"):
        reach(deny=text)
