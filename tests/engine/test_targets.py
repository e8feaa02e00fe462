"""Allowed callback targets: URLs at submit, addresses at delivery, in all three modes."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import for_each

from mockserver.engine.targets import address_problem, is_loopback, literal_address, url_problem
from mockserver.provider import CallbackTarget, TargetMode

ANY = CallbackTarget()
HTTPS = CallbackTarget(schemes=("https",))
OPEN = CallbackTarget(internal_addresses_refused=False)
MODES: tuple[TargetMode, ...] = ("documented", "loopback", "any")

#: Every spelling of this machine that a resolver, or an HTTP library before it, would take.
LOOPBACK = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "api.localhost",
    "127.0.0.1",
    "127.0.0.1.",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0X7F.1",
    "0177.0.0.1",
    "017700000001",
    "0177.0x0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[2002:7f00:1::]",
    "[64:ff9b::127.0.0.1]",
    "%6cocalhost",
    "%31%32%37.0.0.1",
]
#: Internal, and not this machine's loopback.
INTERNAL = [
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "0xa000001",
    "012.0.0.1",
    "167772161",
    "10.1",
    "169.254.169.254",
    "0xA9FEA9FE",
    "100.64.0.1",
    "100.127.255.255",
    "0.0.0.0",
    "0",
    "255.255.255.255",
    "224.0.0.1",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "[::]",
    "[::127.0.0.1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[2002:a00:1::]",
    "[64:ff9b::a00:1]",
    "[fec0::1]",
    "[feff:ffff::1]",
    "[64:ff9b:1::a00:1]",
    "[64:ff9b:1:fffe::1]",
    "%31%30.0.0.1",
    "169.254.169%2E254",
]
PUBLIC = [
    "client.example",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "11.0.0.1",
    "192.167.255.255",
    "128.0.0.1",
    "1572395042",
    "[2606:4700::1111]",
    "[::ffff:93.184.216.34]",
    "[64:ff9b::5db8:d822]",
    "10.example",
    "127.0.0.1.example",
    "localhost.example",
    "notlocalhost",
    "xn--bcher-kva.example",
]


def verdicts(url: str, target: CallbackTarget = ANY) -> list[bool]:
    """Tell in which modes a URL is let through."""
    return [url_problem(url, target, mode) is None for mode in MODES]


@for_each("host", LOOPBACK)
@for_each("around", ["https://{}/hook", "https://{}:8443/", "https://user:pw@{}/?a=b#c"])
def test_every_spelling_of_this_machine_is_known(host: str, around: str) -> None:
    """Documented rules refuse this machine however it is written; the other two modes let it through."""
    assert is_loopback(unquote(host.strip("[]")))
    assert verdicts(around.format(host)) == [False, True, True]


@for_each("host", INTERNAL)
def test_every_spelling_of_an_internal_address_is_known(host: str) -> None:
    """Private, link-local, shared, reserved and multicast addresses are refused except in mode `any`."""
    assert verdicts(f"https://{host}/hook") == [False, False, True]


@for_each("host", PUBLIC)
def test_public_hosts_are_let_through(host: str) -> None:
    """Public addresses on both sides of every internal range, and names of any kind, pass in every mode."""
    assert verdicts(f"https://{host}/hook") == [True, True, True]


@for_each("host", [*LOOPBACK, *INTERNAL, *PUBLIC])
def test_a_provider_may_have_no_rule_for_addresses(host: str) -> None:
    """Where the spec allows internal addresses, none is refused in any mode."""
    assert verdicts(f"https://{host}/hook", OPEN) == [True, True, True]


@for_each(
    ("url", "expected"),
    [
        ("https://client.example/", [True, True, True]),
        ("HTTPS://client.example/", [True, True, True]),
        ("http://client.example/", [False, False, True]),
        ("http://93.184.216.34/", [False, False, True]),
        ("http://localhost:8000/", [False, True, True]),
        ("http://[::1]:8000/", [False, True, True]),
        ("http://10.0.0.1/", [False, False, True]),
    ],
)
def test_the_scheme_is_the_documents(url: str, expected: list[bool]) -> None:
    """Where https is asked for, plain http passes only to this machine in loopback mode, and everywhere in `any`."""
    assert verdicts(url, HTTPS) == expected


def test_plain_http_passes_where_the_document_allows_it() -> None:
    """A provider that names no scheme takes both."""
    assert verdicts("http://client.example/hook") == [True, True, True]


@for_each(
    "url",
    [
        "",
        "/hook",
        "hook",
        "client.example/hook",
        "//client.example/hook",
        "https:",
        "https://",
        "https:///hook",
        "https://:443/",
        "https://./",
        "https:client.example",
        "ftp://client.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[::1",
        "https://[client.example]/",
        "https://client.example:port/",
        "https://client.example:65536/",
        "https://client.example:-1/",
        "https://client.example/a b",
        " https://client.example/",
        "https://client.example/\n",
        "https://client.exa\tmple/",
        "https://client.example/\x00",
        "https://client.example/\x7f",
        "https://client.example\uff0fx/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://\uff4cocalhost/",
        "https://127.0.0.1\u3002/",
        "https://bücher.example/",
        "https://client.example/größe",
        "https://client.example\\@127.0.0.1/",
    ],
)
def test_what_is_no_absolute_url_is_refused_in_every_mode(url: str) -> None:
    """Relative, incomplete, foreign and malformed URLs, and such with blanks or beyond ASCII, are refused always."""
    assert verdicts(url) == [False, False, False]


@pytest.mark.parametrize("value", [7, True, [], {"url": "https://client.example/"}])
def test_what_is_no_string_is_no_url(value: object) -> None:
    """Values of other types that a request schema accepts are refused here, even in mode `any`."""
    assert [url_problem(value, ANY, mode) for mode in MODES] == ["is not a string"] * 3


@pytest.mark.parametrize("mode", MODES)
def test_a_url_has_its_length(mode: TargetMode) -> None:
    """2 048 characters pass, 2 049 do not, in every mode; the message tells both numbers."""
    url = "https://client.example/".ljust(2048, "x")
    assert url_problem(url, ANY, mode) is None
    assert url_problem(url + "x", ANY, mode) == "is 2049 characters long; at most 2048 are allowed"


def test_the_limit_of_the_length_is_the_specs() -> None:
    """Another provider may allow less."""
    target = CallbackTarget(max_length=30)
    assert verdicts("https://client.example/1234567", target) == [True, True, True]
    assert verdicts("https://client.example/12345678", target) == [False, False, False]


@for_each(
    ("address", "expected"),
    [
        ("127.0.0.1", [False, True, True]),
        ("127.8.8.8", [False, True, True]),
        ("::1", [False, True, True]),
        ("::ffff:127.0.0.1", [False, True, True]),
        ("10.0.0.1", [False, False, True]),
        ("172.16.0.1", [False, False, True]),
        ("192.168.1.1", [False, False, True]),
        ("169.254.169.254", [False, False, True]),
        ("100.64.0.1", [False, False, True]),
        ("0.0.0.0", [False, False, True]),
        ("::", [False, False, True]),
        ("fe80::1", [False, False, True]),
        ("fe80::1%eth0", [False, False, True]),
        ("fd00::1", [False, False, True]),
        ("ff02::1", [False, False, True]),
        ("239.1.1.1", [False, False, True]),
        ("::ffff:192.168.1.1", [False, False, True]),
        ("64:ff9b::c0a8:101", [False, False, True]),
        ("93.184.216.34", [True, True, True]),
        ("2606:4700::1111", [True, True, True]),
    ],
)
def test_an_address_is_judged_where_its_name_leads(address: str, expected: list[bool]) -> None:
    """A resolved address is checked by the same rules as an address in the URL."""
    parsed = ipaddress.ip_address(address)
    assert [address_problem(parsed, ANY, mode) is None for mode in MODES] == expected
    assert all(address_problem(parsed, OPEN, mode) is None for mode in MODES)


@given(st.ip_addresses(v=4))
def test_the_spellings_of_an_address_are_one_address(address: ipaddress.IPv4Address) -> None:
    """Dotted, decimal, octal, hexadecimal, shortened and wrapped in IPv6, an address is read as itself."""
    number = int(address)
    one, two, three, four = address.packed
    spellings = [
        str(address),
        str(number) if number else "0",
        f"0x{number:x}",
        f"0{number:o}",
        f"0x{one:02x}.0x{two:x}.{three}.0{four:o}",
        f"{one}.{number & 0xFFFFFF}",
        f"{one}.{two}.{number & 0xFFFF}",
        f"::ffff:{address}",
        f"64:ff9b::{address}",
    ]
    assert {literal_address(spelling) for spelling in spellings} == {address}


@given(st.ip_addresses())
def test_the_judgements_agree(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """An address in a URL has the same verdict as the same address behind a name."""
    host = f"[{address}]" if address.version == 6 else str(address)
    for mode in MODES:
        in_url = url_problem(f"https://{host}/", ANY, mode)
        assert in_url == address_problem(address, ANY, mode)


@given(st.text(max_size=40))
def test_any_text_is_judged(text: str) -> None:
    """Any text as a URL or host is accepted or refused, without a crash."""
    for url in (text, f"https://{text}", f"https://{text}/", f"http://client.example:{text}"):
        for mode in MODES:
            problem = url_problem(url, ANY, mode)
            assert problem is None or problem


@for_each("host", ["", ".", "client.example", "1.2.3.4.5", "256.0.0.1", "0x", "1e3", "٣", "127.0.0.1x"])
def test_a_name_is_no_address(host: str) -> None:
    """What no resolver takes for an address is a name."""
    assert literal_address(host) is None
