"""Addresses from outside: what may be told of one, which file name and identity it gives, which numbers are public."""

import ipaddress
import re
from pathlib import PurePosixPath
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from figureground import ids
from figureground.errors import SourceError
from figureground.media import tarballs, wheels

_LONGEST_NAME = 60  # characters; 255 bytes is what file systems take, a Chinese character has 3
_LONGEST_SUFFIX = 8
_TELLING = frozenset({"v", "id", "vid", "video", "video_id", "list", "p", "w", "clip"})  # keys that name a thing on many sites
_HARMLESS = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECRET = re.compile(r"sig|token|key|auth|expire|policy|pass|pw|secret|session|credential|hash|hmac|x-(amz|goog|ms)", re.I)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_CLOUDS = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")))  # metadata on numbers that look public
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_address(path: str) -> bool:
    """Tell whether a catalog's path is no place on this machine.

    >>> is_address("https://example.org/a.mp4"), is_address("clips/a.mp4")
    (True, False)
    """
    return in_package(path) or "://" in path


def in_package(path: str) -> bool:
    """Tell whether a catalog's path means a file in a package of an index: of Python's or of npm's.

    >>> in_package("package:a==1!b.txt"), in_package("npm:a@1.0.0!b.js"), in_package("https://example.org/a.mp4")
    (True, True, False)
    """
    return wheels.names_wheel(path) or tarballs.names_tarball(path)


def member(path: str) -> wheels.PackageFile:
    """Read the path of a file in a package, see `figureground.media.wheels.parse` and `figureground.media.tarballs.parse`."""
    return tarballs.parse(path) if tarballs.names_tarball(path) else wheels.parse(path)


def split(url: str) -> SplitResult:
    """Take an address apart.

    Raises
    ------
    SourceError
        When it is none.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SourceError(f"{hidden(url)!r} is not an address ({hidden(str(error))}); repair it in the catalog") from error
    return parts


def shown(path: str) -> str:
    """Give a path for a message: without the password, token or signature that an address may hold.

    >>> shown("https://me:secret@example.org/a.mp4?signature=abc#t=1"), shown("clips/a.mp4")
    ('https://example.org/a.mp4', 'clips/a.mp4')
    """
    if in_package(path) or "://" not in path:
        return path
    parts = split(path)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def hidden(text: str) -> str:
    """Take the addresses out of words that somebody else wrote: they may hold secrets.

    >>> hidden("no route to https://me:secret@host/a")
    'no route to <address>'
    """
    return _ADDRESS.sub("<address>", text)


def page(url: str) -> str:
    """Give an address that can be kept and told: only what names a thing on many sites stays of its query.

    >>> page("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=9&token=abc")
    'https://www.youtube.com/watch?v=dQw4w9WgXcQ'
    """
    parts = split(url)
    told = [(key, value) for key, value in parse_qsl(parts.query) if key.lower() in _TELLING and _HARMLESS.fullmatch(value)]
    return shown(url) + (f"?{urlencode(told)}" if told else "")


def identity(url: str) -> str:
    """Give what tells this address from others and stays when only its signature is renewed; nothing of it is secret.

    >>> identity("https://a.org/get?no=7&sig=abc") == identity("https://a.org/get?no=7&sig=xyz") != identity("https://a.org/get?no=8")
    True
    """
    found = page(url).partition("://")[2]
    rest = sorted(one for one in parse_qsl(split(url).query) if one[0].lower() not in _TELLING and not _SECRET.search(one[0]))
    return f"{found}#{ids.hash_name(urlencode(rest))}" if rest else found


def file_name(path: str) -> str:
    r"""Give a name for the file that stays in its folder, whatever an address holds.

    >>> file_name("https://example.org/%2e%2e%2f..%5cmy%20clip.mp4?token=secret")
    'my_clip.mp4'
    """
    last = PurePosixPath(member(path).member if in_package(path) else path).name
    if "://" in path:
        last = unquote(split(path).path).replace("\\", "/").rsplit("/", 1)[-1]
    safe = re.sub(r"[^\w.-]+", "_", last).lstrip(".-")
    stem, dot, suffix = safe.rpartition(".")
    return f"{stem[:_LONGEST_NAME]}.{suffix[:_LONGEST_SUFFIX]}" if dot else safe[:_LONGEST_NAME] or "video"


def is_public(number: str) -> bool:
    """Tell whether an IP number is one of the internet's: not private, loopback, link-local, shared, reserved or metadata.

    Parameters
    ----------
    number
        IPv4 or IPv6, as the resolver gives it. One that wraps an IPv4 number (mapped, 6to4, Teredo, NAT64) counts as that.

    Examples
    --------
    >>> [is_public(one) for one in ("93.184.216.34", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%eth0")]
    [True, False, False, False, False]
    """
    found = ipaddress.ip_address(number)
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        wrapped += [ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)] if found in _NAT64 else []
        inner = [one for one in wrapped if one]
        if inner:
            return all(is_public(str(one)) for one in inner)
        if found.is_site_local:
            return False
    elsewhere = found.is_multicast or found.is_reserved or any(found in cloud for cloud in _CLOUDS)
    return found.is_global and not elsewhere
