"""Which hosts may be connected to: those of the internet, and those that the catalog allows by name."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies, proxy_bypass

from figureground.errors import SourceError
from figureground.media import addresses


class HostError(SourceError):
    """A host is not one of the internet's, and the catalog does not allow it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What every connection to an address from outside goes through.

    A name is resolved once; what was checked is what is connected to, so a name cannot mean another host a moment later.
    """

    allowed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str]) -> "Gate":
        """Make one that lets these hosts pass, whatever their numbers are."""
        return cls(frozenset(name.lower().strip("[]") for name in names))

    def numbers(self, host: str, port: int) -> list[tuple[Any, ...]]:
        """Resolve a host.

        Parameters
        ----------
        host
            A name or number, as an address has it.
        port
            1 to 65535.

        Returns
        -------
        list of tuple
            What `socket.getaddrinfo` gives, all of them allowed.

        Raises
        ------
        HostError
            When one of its numbers is private, loopback, link-local, reserved or a cloud's metadata.
        OSError
            When it cannot be resolved.
        """
        try:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError("not a host's name") from error
        if host.lower().strip("[]") not in self.allowed:
            for number in sorted({str(one[4][0]) for one in found}):
                if not addresses.is_public(number):
                    raise HostError(_refused(host, number))
        return found

    def connect(self, address: tuple[str, int], timeout: Any, source_address: Any = None) -> socket.socket:
        """Open a connection as `socket.create_connection` does, to a number that was checked.

        Raises
        ------
        HostError
            See `numbers`.
        OSError
            When none answers.
        """
        said: OSError = OSError("no number")
        for _, _, _, _, number in self.numbers(*address):
            try:
                return socket.create_connection(number[:2], timeout, source_address)
            except OSError as error:
                said = error
        raise said

    def check(self, host: str, port: int) -> None:
        """Refuse a host that a proxy is to connect to; a name that only the proxy can resolve is left to it.

        Raises
        ------
        HostError
            See `numbers`.
        """
        try:
            self.numbers(host, port)
        except OSError:
            return


def proxied(scheme: str, host: str) -> bool:
    """Tell whether the environment names a proxy for this host."""
    return bool(getproxies().get(scheme)) and not proxy_bypass(host)


def _refused(host: str, number: str) -> str:
    where = host if host == number else f"{host} ({number})"
    return (
        f"{where} is not a host of the internet: its number is private, loopback, link-local, reserved or a cloud's metadata. "
        f"Nothing was sent to it. If you trust it, write `allow_hosts: [{host}]` into the catalog"
    )
