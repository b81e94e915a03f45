"""Addresses from outside: no secret is told, no name leaves its folder, no private number passes."""

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from figureground.errors import SourceError
from figureground.media import addresses


@pytest.mark.parametrize(
    "number",
    [
        "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "192.0.2.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::10.0.0.1",
        "2001:0:7f00:1::", "64:ff9b:1::1",
    ],
)  # fmt: skip
def test_private_ip_addresses_are_recognised(number: str) -> None:
    assert not addresses.is_public(number)


@pytest.mark.parametrize(
    "number", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_public_ip_addresses_are_recognised(number: str) -> None:
    assert addresses.is_public(number)


SECRETS = ["s3cr3t-a", "s3cr3t-b", "s3cr3t-c", "s3cr3t-d"]
HOLDING = "https://me:{}@example.org/clips/a.mp4?X-Amz-Signature={}&v=dQw4w9WgXcQ&no=7&access={}#{}".format(*SECRETS)


@pytest.mark.parametrize(
    "tell", [addresses.hide_secrets, addresses.make_public, addresses.identify, addresses.file_name, addresses.hide_addresses]
)
def test_secrets_are_hidden_in_addresses(tell: object) -> None:
    said = tell(HOLDING)  # type: ignore[operator]
    assert not [secret for secret in SECRETS if secret in said]
    assert "me" not in re.split(r"\W", said)


def test_an_identity_outlives_a_signature_and_tells_clips_apart() -> None:
    one, again = (f"https://a.org/get.php?no=7&sig={sign}&Expires=9&X-Goog-Date={sign}" for sign in ("abc", "xyz"))
    assert addresses.identify(one) == addresses.identify(again)
    assert addresses.identify(one) != addresses.identify("https://a.org/get.php?no=8&sig=abc")
    assert addresses.identify("https://a.org/watch?v=a") != addresses.identify("https://a.org/watch?v=b")


@settings(deadline=None)
@given(path=st.text(max_size=120), query=st.sampled_from(["", "?name=../../x", "#/../y", "?v=../../etc"]))
@example(path="..%2f..%2fetc%2fpasswd", query="")
@example(path="%2e%2e/%2e%2e/.ssh", query="")
@example(path="a\\..\\..\\b.mp4", query="")
@example(path="CON.mp4\0.txt", query="")
@example(path="x" * 300 + "." + "y" * 300, query="")
def test_no_address_gives_a_name_that_leaves_its_folder(path: str, query: str) -> None:
    try:
        name = addresses.file_name(f"https://example.org/{path}{query}")
    except SourceError:  # the address itself is refused
        return
    assert re.fullmatch(r"\w[\w.-]*", name)
    assert len(name.encode()) < 255


@pytest.mark.parametrize("url", ["http://[/a.mp4", "http://host:99999/a", "http://host:port/a"])
def test_what_is_not_an_address_is_named(url: str) -> None:
    with pytest.raises(SourceError, match=r"is not an address .*repair it in the catalog"):
        addresses.split_url(url)


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        ('Request: GET http://u:s3cr3t@h:1/a?sig=s3cr3t "HTTP/1.1 200"', 'Request: GET http://h:1/a "HTTP/1.1 200"'),
        ("url: /a.mp4?n=1&X-Goog-Credential=s3cr3t%2Fx (Caused by", "url: /a.mp4?n=1&X-Goog-Credential=*** (Caused by"),
        ("{'Authorization': 'Basic s3cr3t=='}", "{'Authorization': '***'}"),
        ("proxy-authorization: Bearer s3cr3t.s3cr3t", "proxy-authorization: ***"),
        ("postgresql://me:s3cr3t@db/runs, (https://a.org/x?pass=s3cr3t).", "postgresql://db/runs, (https://a.org/x)."),
        ("https://[s3cr3t", "<address>"),
        ("no address: key=3 of a basic assumption", "no address: key=3 of a basic assumption"),
    ],
)  # fmt: skip
def test_lines_of_other_programs_keep_all_but_the_secrets(logged: str, shown: str) -> None:
    assert addresses.hide_secrets_in_text(logged) == shown


@pytest.mark.parametrize("line", ["a.b-" * 50_000 + "=", "?key" * 50_000, "http" * 50_000, "authorization: " * 20_000])
def test_a_long_line_takes_time_by_its_length(line: str) -> None:
    began = time.process_time()
    addresses.hide_secrets_in_text(line)
    assert time.process_time() - began < 1
