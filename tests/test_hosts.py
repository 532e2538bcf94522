"""Addresses: which may be asked, which may lead where, and what of them is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverybot.sources import hosts


@pytest.mark.parametrize(
    ("url", "shown", "asked"),
    [
        ("https://example.org", "https://example.org/", "https://example.org/"),
        ("HTTPS://Example.ORG.:443/a", "https://example.org/a", "https://example.org/a"),
        ("http://example.org:8080/a b".replace(" ", "%20"), "http://example.org:8080/a%20b", ""),
        ("https://example.org/a?key=s3cret#x", "https://example.org/a?…", ""),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC", ""),
        (
            "https://example.org/a b?filter=created gt '2026'&x={1|2}",
            "https://example.org/a%20b?…",
            "https://example.org/a%20b?filter=created%20gt%20'2026'&x=%7B1%7C2%7D",
        ),
        ("http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81/", ""),
    ],
)
def test_an_address_is_read_and_shown_without_its_secrets(url: str, shown: str, asked: str) -> None:
    place = hosts.Place.of(url)
    assert str(place) == hosts.shown(url) == shown
    assert not asked or place.url == asked


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/",
        "example.org",
        "//example.org/",
        "https://",
        "https:///path",
        "https://user:s3cret@example.org/",
        "https://s3cret@example.org/",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://example.org:port/",
        "https://exa mple.org/",
        "https://example.org/\r\nHost: evil.example",
        "https://example.org\\@evil.example/",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://127.2/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://1.2.3/",
        "https://example.1/",
        "https://-example.org/",
        "https://exa..mple.org/",
        "https://straße.example/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a.b" * 100 + ".example/",
    ],
)
def test_what_is_no_address_of_ours_is_refused_and_its_secret_is_not_shown(url: str) -> None:
    with pytest.raises(hosts.NotAsked) as caught:
        hosts.Place.of(url)
    assert "s3cret" not in caught.value.shown
    assert caught.value.shown.isprintable()


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.org/{text}", f"http://{text}.example/"):
        assert hosts.shown(url).isprintable()
        try:
            place = hosts.Place.of(url)
        except hosts.NotAsked:
            continue
        assert place.host.isascii()
        assert place.url.isascii()
        assert hosts.Place.of(place.url) == place, "what is sent is what was checked"


@pytest.mark.parametrize(
    ("old", "new", "may"),
    [
        ("https://example.org/a", "https://example.org/b", True),
        ("http://example.org/a", "https://example.org/a", True),
        ("https://example.org/a", "http://example.org/a", False),
        ("https://example.org/a", "https://www.example.org/a", True),
        ("https://docs.example.org/", "https://files.example.net/", True),
        ("http://example.org/", "http://www.example.org/", False),
        ("https://example.org/", "https://example.org:8443/", False),
        ("https://example.org/", "https://example.net:8443/", False),
        ("https://example.org/", "https://10.0.0.1/", False),
        ("https://example.org/", "https://8.8.8.8/", False),
        ("https://example.org/", "https://localhost/", False),
        ("https://example.org/", "https://intranet/", False),
        ("https://example.org/", "https://printer.local/", False),
        ("https://example.org/", "https://db.internal/", False),
        ("http://127.0.0.1:8000/a", "http://127.0.0.1:8000/b", True),
        ("http://127.0.0.1:8000/a", "http://127.0.0.1:9000/b", False),
        ("http://127.0.0.1:8000/a", "http://localhost:8000/a", False),
        ("http://127.0.0.1/a", "https://example.org/a", False),
        ("https://crm.lan/", "https://other.lan/", False),
        ("http://crm.lan/", "https://crm.lan/", True),
    ],
)
def test_where_an_answer_may_lead(old: str, new: str, may: bool) -> None:
    why = hosts.may_lead(hosts.Place.of(old), hosts.Place.of(new))
    assert (why == "") is may


@pytest.mark.parametrize(
    "number",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254"),
        *("172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.0.1", "198.18.0.1"),
        *("198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001:db8::1"),
        *("2002:7f00:1::", "2002:c0a8:1::1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1"),
        *("2001:0:7f00:1::1", "2001:0:102:304:0:0:80ff:fffe", "no number", ""),
    ],
)
def test_private_numbers_in_all_their_dresses(number: str) -> None:
    assert not hosts.is_global(number)


@pytest.mark.parametrize(
    "number", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_numbers(number: str) -> None:
    assert hosts.is_global(number)
