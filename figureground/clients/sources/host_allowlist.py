"""Which hosts may be connected to: public ones, and those that the catalog allows by name."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

from figureground.errors import SourceError
from figureground.media import addresses


class HostError(SourceError):
    """A host is not public, and the catalog does not allow it."""


@dataclass(frozen=True, slots=True)
class HostAllowlist:
    """The hosts with private IP addresses that may be connected to.

    A host is resolved once, and the IP address that was checked is the one that is connected to. So a name cannot mean
    another host a moment later (DNS rebinding).
    """

    allowed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, hosts: Iterable[str]) -> "HostAllowlist":
        """Make a list that allows these hosts, whatever their IP addresses are."""
        return cls(frozenset(host.lower().strip("[]") for host in hosts))

    def resolve(self, host: str, port: int) -> list[str]:
        """Resolve a host.

        Parameters
        ----------
        host
            A name or IP address, as it is written in a URL.
        port
            1 to 65535.

        Returns
        -------
        list of str
            Its IP addresses, all of them allowed, in the resolver's order.

        Raises
        ------
        HostError
            When one of its IP addresses is private, loopback, link-local, reserved or a cloud's metadata service.
        OSError
            When the host cannot be resolved.
        """
        try:
            resolved = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError("not the name of a host") from error
        numbers = list(dict.fromkeys(str(address[0]) for *_, address in resolved))
        if host.lower().strip("[]") not in self.allowed:
            for number in sorted(numbers):
                if not addresses.is_public(number):
                    raise HostError(_not_public(host, number))
        return numbers

    def check_proxied(self, host: str, port: int) -> None:
        """Check a host that a proxy will connect to. A name that only the proxy can resolve passes.

        Raises
        ------
        HostError
            See `resolve`.
        """
        try:
            self.resolve(host, port)
        except OSError:
            return


def uses_proxy(scheme: str, host: str) -> bool:
    """Tell whether the environment names a proxy for this host."""
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)


def _not_public(host: str, number: str) -> str:
    where = host if host == number else f"{host} ({number})"
    return (
        f"{where} is not a public host: its IP address is private, loopback, link-local, reserved or a cloud's metadata "
        f"service. Nothing was sent to it. If you trust it, write `allow_hosts: [{host}]` into the catalog"
    )
