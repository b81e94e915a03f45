"""HTTP requests to servers that are not trusted: every host on the way is checked, redirect by redirect."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.cookiejar import CookieJar

import httpx

from figureground import __version__
from figureground.clients.sources import host_allowlist
from figureground.clients.sources.host_allowlist import HostAllowlist, HostError
from figureground.errors import SourceError
from figureground.media import addresses

TIMEOUT = httpx.Timeout(30, connect=10)
"""Seconds without a byte, not in all."""

_REDIRECTS_AT_MOST = 10
_ABOUT_CONTENT = ("content-type", "content-length", "content-encoding", "content-language", "content-location")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``content`` is the body of a POST."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


@contextmanager
def open_url(
    request: Request,
    hosts: HostAllowlist,
    *,
    timeout: httpx.Timeout | float | None = None,
    cookies: CookieJar | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[httpx.Response]:
    """Send a request and follow its redirects. Each host on the way is checked before anything is sent to it.

    Parameters
    ----------
    request
        Its ``Authorization`` is not sent to another host than its own, and its ``Cookie`` to none that it is redirected to.
    hosts
        The private hosts that are allowed.
    timeout
        Seconds; None takes `TIMEOUT`.
    cookies
        Cookies are taken from here and kept here; None keeps none.
    tls
        How certificates are verified; None takes the certificates of the environment.

    Yields
    ------
    httpx.Response
        Of any status but a redirect; its body is not read yet, and it is as the server sent it, maybe compressed.

    Raises
    ------
    HostError
        When a host is not allowed.
    SourceError
        When there are too many redirects, or one to an address that is not on the web.
    httpx.HTTPError, httpx.InvalidURL, OSError
        When the server cannot be reached.
    """
    shown = addresses.hide_secrets(request.url)
    for _ in range(_REDIRECTS_AT_MOST):
        target = httpx.URL(request.url)
        if target.scheme not in ("http", "https") or not target.host:
            raise SourceError(
                f"{shown}: redirects to {addresses.hide_secrets(str(target))!r}, which is not an address on the web"
            )
        try:
            numbers = _checked(target, hosts)
        except HostError as error:
            raise HostError(f"{shown}: {error}") from error
        with _send(request, target, numbers, timeout or TIMEOUT, cookies, tls) as response:
            if not response.has_redirect_location:
                yield response
                return
            request = _redirected(request, response)
    raise SourceError(f"{shown}: redirects more than {_REDIRECTS_AT_MOST} times; check the address")


def _checked(target: httpx.URL, hosts: HostAllowlist) -> list[str]:
    """Give the allowed IP addresses of a host, or none when a proxy connects to it."""
    port = target.port or (443 if target.scheme == "https" else 80)
    if host_allowlist.uses_proxy(target.scheme, target.host):
        hosts.check_proxied(target.host, port)
        return []
    return hosts.resolve(target.host, port)


@contextmanager
def _send(
    request: Request,
    target: httpx.URL,
    numbers: list[str],
    timeout: httpx.Timeout | float,
    cookies: CookieJar | None,
    tls: ssl.SSLContext | None,
) -> Iterator[httpx.Response]:
    """Send one request: to the first of the checked IP addresses that answers, under the name that the address has."""
    named = httpx.Request(request.method, target, headers=_headers(request), content=request.content)
    jar = httpx.Cookies(cookies)
    jar.set_cookie_header(named)
    tls = tls or httpx.create_ssl_context()  # the environment's own certificates count, whatever `trust_env` is
    # A client for each request: an open connection would be reused for another name with the same number, unverified.
    with httpx.Client(timeout=timeout, trust_env=not numbers, verify=tls) as client:
        response = _connect(client, named, numbers)
        try:
            response.request = named
            jar.extract_cookies(response)
            yield response
        finally:
            response.close()


def _connect(client: httpx.Client, named: httpx.Request, numbers: list[str]) -> httpx.Response:
    if not numbers:
        return client.send(named, stream=True)
    for number in numbers:
        numbered = httpx.Request(
            named.method,
            named.url.copy_with(host=number),
            headers=named.headers,
            stream=named.stream,
            extensions={"sni_hostname": named.url.host},
        )
        try:
            return client.send(numbered, stream=True)
        except httpx.ConnectError:
            if number == numbers[-1]:
                raise
    raise AssertionError("a host that resolves has an IP address")


def _headers(request: Request) -> dict[str, str]:
    own = {"accept": "*/*", "accept-encoding": "identity", "user-agent": f"figureground/{__version__}"}
    given = {name.lower(): value for name, value in request.headers.items()}
    return own | given | {"accept-encoding": "identity"}


def _redirected(request: Request, response: httpx.Response) -> Request:
    """Give the request to send to where a response redirects to, as browsers do."""
    before = httpx.URL(request.url)
    target = before.join(response.headers["Location"])
    method = request.method
    if (response.status_code == 303 and method != "HEAD") or (response.status_code in (301, 302) and method == "POST"):
        method = "GET"
    left_out = {"cookie", "host"}
    if method != request.method:
        left_out.update(_ABOUT_CONTENT)
    if target.host != before.host or (before.scheme, target.scheme) == ("https", "http"):
        left_out.add("authorization")
    headers = {name: value for name, value in request.headers.items() if name.lower() not in left_out}
    return replace(
        request, url=str(target), method=method, headers=headers, content=request.content if method == request.method else None
    )
