"""Addresses from outside: without secrets for messages and tables, as file names and identities; which IPs are public."""

import ipaddress
import re
from pathlib import PurePosixPath
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from figureground import ids
from figureground.errors import SourceError
from figureground.media import tarballs, wheels

_STEM_AT_MOST = 60  # characters; file systems take 255 bytes, and a Chinese character has 3
_SUFFIX_AT_MOST = 8
_IDENTIFYING = frozenset({"v", "id", "vid", "video", "video_id", "list", "p", "w", "clip"})
"""Keys of a query that name a clip on many sites."""

_HARMLESS = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECRET = re.compile(r"sig|token|key|auth|expire|policy|pass|pw|secret|session|credential|hash|hmac|x-(amz|goog|ms)", re.I)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://\S+")  # bounded: a long word would take time by its square
_CLOSING = "\"'`>)]},.;:!"
_QUERY = re.compile(r"([?&;])([\w.~%-]{1,64})=[^\s&;\"'<>]+")
_HEADER = re.compile(r"(authorization['\"]?\s?[:=,]\s?(?:b?['\"])?)(?:(?:basic|bearer|token)\s)?[\w.~+/=-]+", re.I)
_METADATA = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")))  # of clouds, on IPs that look public
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_address(path: str) -> bool:
    """Tell whether a path of the catalog is not a path of this machine.

    >>> is_address("https://example.org/a.mp4"), is_address("clips/a.mp4")
    (True, False)
    """
    return is_in_package(path) or "://" in path


def is_in_package(path: str) -> bool:
    """Tell whether a path of the catalog means a file in a package of Python's index or of npm's registry.

    >>> is_in_package("package:a==1!b.txt"), is_in_package("npm:a@1.0.0!b.js"), is_in_package("https://example.org/a.mp4")
    (True, True, False)
    """
    return wheels.is_wheel_path(path) or tarballs.is_tarball_path(path)


def parse_package_path(path: str) -> wheels.PackageFile:
    """Parse the path of a file in a package.

    Raises
    ------
    SourceError
        When it has another form; see `figureground.media.wheels.parse_path` and `figureground.media.tarballs.parse_path`.
    """
    return tarballs.parse_path(path) if tarballs.is_tarball_path(path) else wheels.parse_path(path)


def split_url(url: str) -> SplitResult:
    """Split an address into its parts.

    Raises
    ------
    SourceError
        When it is not an address.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        why = hide_addresses(str(error))
        raise SourceError(f"{hide_addresses(url)!r} is not an address ({why}); repair it in the catalog") from error
    return parts


def hide_secrets(path: str) -> str:
    """Give a path for a message: without the password, token or signature that an address may hold.

    >>> hide_secrets("https://me:secret@example.org/a.mp4?signature=abc#t=1"), hide_secrets("clips/a.mp4")
    ('https://example.org/a.mp4', 'clips/a.mp4')
    """
    if is_in_package(path) or "://" not in path:
        return path
    parts = split_url(path)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def hide_addresses(text: str) -> str:
    """Take the addresses out of another program's message: they may hold secrets.

    >>> hide_addresses("no route to https://me:secret@host/a")
    'no route to <address>'
    """
    return _ADDRESS.sub("<address>", text)


def hide_secrets_in_text(text: str) -> str:
    """Take passwords, tokens and signatures out of a text that other programs wrote, such as a line of a log.

    Of an address stays what `make_public` gives; values of a query whose name speaks of a secret, and what an Authorization
    header holds, are replaced by stars.

    >>> hide_secrets_in_text("GET https://me:secret@host/a?sig=abc, then /b?token=abc&n=1")
    'GET https://host/a, then /b?token=***&n=1'
    """
    if "://" in text:
        text = _ADDRESS.sub(_make_match_public, text)
    return _HEADER.sub(r"\1***", _QUERY.sub(_hide_secret_value, text))


def _hide_secret_value(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}=***" if _SECRET.search(match[2]) else match[0]


def _make_match_public(match: re.Match[str]) -> str:
    address = match[0].rstrip(_CLOSING)
    try:
        return make_public(address) + match[0][len(address) :]
    except SourceError:
        return "<address>"


def make_public(url: str) -> str:
    """Give an address that may be stored and shown: of its query only the keys that name a clip on many sites stay.

    >>> make_public("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=9&token=abc")
    'https://www.youtube.com/watch?v=dQw4w9WgXcQ'
    """
    query = parse_qsl(split_url(url).query)
    kept = [(key, value) for key, value in query if key.lower() in _IDENTIFYING and _HARMLESS.fullmatch(value)]
    return hide_secrets(url) + (f"?{urlencode(kept)}" if kept else "")


def identify(url: str) -> str:
    """Give what tells an address from others, and stays the same when only its signature is renewed. It holds no secret.

    >>> identify("https://a.org/get?no=7&sig=abc") == identify("https://a.org/get?no=7&sig=xyz") != identify("https://a.org/get?no=8")
    True
    """
    public = make_public(url).partition("://")[2]
    query = parse_qsl(split_url(url).query)
    rest = sorted((key, value) for key, value in query if key.lower() not in _IDENTIFYING and not _SECRET.search(key))
    return f"{public}#{ids.hash_name(urlencode(rest))}" if rest else public


def file_name(path: str) -> str:
    r"""Give a name for the file at a path that stays in its folder, whatever an address holds.

    >>> file_name("https://example.org/%2e%2e%2f..%5cmy%20clip.mp4?token=secret")
    'my_clip.mp4'
    """
    last = PurePosixPath(parse_package_path(path).member if is_in_package(path) else path).name
    if "://" in path:
        last = unquote(split_url(path).path).replace("\\", "/").rsplit("/", 1)[-1]
    safe = re.sub(r"[^\w.-]+", "_", last).lstrip(".-")
    stem, dot, suffix = safe.rpartition(".")
    return f"{stem[:_STEM_AT_MOST]}.{suffix[:_SUFFIX_AT_MOST]}" if dot else safe[:_STEM_AT_MOST] or "video"


def is_public(number: str) -> bool:
    """Tell whether an IP address is public: not private, loopback, link-local, shared, reserved or a metadata service.

    Parameters
    ----------
    number
        IPv4 or IPv6, as the resolver gives it. One that wraps an IPv4 address (mapped, 6to4, Teredo, NAT64) counts as that.

    Examples
    --------
    >>> [is_public(number) for number in ("93.184.216.34", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%eth0")]
    [True, False, False, False, False]
    """
    address = ipaddress.ip_address(number)
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        wrapped += [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)] if address in _NAT64 else []
        inner = [each for each in wrapped if each]
        if inner:
            return all(is_public(str(each)) for each in inner)
        if address.is_site_local:
            return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in _METADATA)
    return address.is_global and not special
