"""Python runs this before Label Studio: connections to this machine are refused, except to the webhook's receiver."""

import errno
import ipaddress
import json
import os
from pathlib import Path
from typing import Any


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False  # Label Studio's own guard connects to addresses only, never to names
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _is_receiver(host: str, port: int) -> bool:
    try:
        allowed = json.loads(Path(os.environ["FIGUREGROUND_STUDIO_RECEIVER"]).read_bytes())
    except (OSError, ValueError):
        return False  # no receiver runs
    return [host, port] in allowed


def _check_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host, port = str(arguments[1][0]), int(arguments[1][1])
    # its own port is asked by itself, at its start: whether another program has it
    if not _is_here(host) or port == int(os.environ["FIGUREGROUND_STUDIO_PORT"]) or _is_receiver(host, port):
        return
    raise PermissionError(errno.EACCES, f"Label Studio may not connect to this machine's port {port}")


if "FIGUREGROUND_STUDIO_RECEIVER" in os.environ:
    import sys

    sys.addaudithook(_check_connection)
    os.environ["USER_ADDITIONAL_BANNED_SUBNETS"] = os.environ["FIGUREGROUND_STUDIO_SUBNETS"]
