"""Keeps the local Label Studio from this machine's services: whoever may label may have it fetch any address.

Its own guard knows addresses and no ports: with it, either every service of this machine can be reached or the webhook's
receiver cannot. So that guard refuses this machine, and ``sitecustomize.py`` in this folder, which Python runs before Label
Studio, lets connections to the receiver through and refuses all others. Where that file is not run, the receiver is not
reached, and nothing else either.
"""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from figureground.storage.atomic import write_file

_NOTE = "receiver.json"
_PRIVATE = (
    "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,169.254.0.0/16,172.16.0.0/12,192.0.0.0/24,192.0.2.0/24,192.88.99.0/24,"
    "192.168.0.0/16,198.18.0.0/15,198.51.100.0/24,203.0.113.0/24,224.0.0.0/4,240.0.0.0/4,::/128,::ffff:0:0/96,"
    "::ffff:0:0:0/96,64:ff9b::/96,64:ff9b:1::/48,100::/64,2001::/32,2001:20::/28,2001:db8::/32,2002::/16,fc00::/7,"
    "fe80::/10,ff00::/8"
)


def make_environment(home: Path, port: int) -> dict[str, str]:
    """Give the environment variables of a server that lives in a folder and listens on a port."""
    return {
        "PYTHONPATH": str(Path(__file__).parent),
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "USER_ADDITIONAL_BANNED_SUBNETS": f"{_PRIVATE},127.0.0.0/8,::1/128",
        "FIGUREGROUND_STUDIO_SUBNETS": _PRIVATE,
        "FIGUREGROUND_STUDIO_RECEIVER": str(home / _NOTE),
        "FIGUREGROUND_STUDIO_PORT": str(port),
    }


@contextlib.contextmanager
def let_through(home: Path, address: str) -> Iterator[None]:
    """Let the server that lives in a folder reach a receiver while the block lasts.

    Parameters
    ----------
    home
        The server's folder; nothing is written where it is not.
    address
        The receiver's ``http(s)://HOST:PORT/``.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    if not home.is_dir():
        yield
        return
    note = home / _NOTE
    write_file(note, json.dumps(_find_endpoints(address)).encode())
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def _find_endpoints(address: str) -> list[tuple[str, int]]:
    parts = urlsplit(address)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = socket.getaddrinfo(parts.hostname, port, 0, socket.SOCK_STREAM)
    except (OSError, ValueError):
        return []  # an address that is none: registering it says so
    return sorted({(str(endpoint[0]), port) for *_, endpoint in found})
