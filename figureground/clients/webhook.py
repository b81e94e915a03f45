"""Label Studio's webhook: the server calls an address when an annotation changes, with a secret that proves it is the server.

The secret comes from the environment variable ``FIGUREGROUND_WEBHOOK_SECRET`` (or the Prefect Secret it names); a receiver
that only this machine can reach makes up its own. The server sends it in a header, and is asked to send nothing but the kind
of event.
"""

import ipaddress
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from figureground.catalog import Catalog
from figureground.clients.label_studio import AnnotationServer, Project
from figureground.errors import CatalogError, LabelError

SECRET_VARIABLE = "FIGUREGROUND_WEBHOOK_SECRET"
HEADER = "X-Figureground-Secret"
ANNOTATION_EVENTS = frozenset(
    {
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_DELETED",
        "TASKS_DELETED",
    }
)
_REGISTERED_EVENTS = sorted(ANNOTATION_EVENTS - {"ANNOTATION_DELETED"})  # no server accepts that name today; one may later
_TRIAL_EVENT = "PROJECT_UPDATED"
_LENGTH_AT_LEAST = 16


def choose_secret(host: str, configured: str) -> str:
    """Choose the secret that the server sends.

    Parameters
    ----------
    host
        The address that the receiver listens on.
    configured
        The secret of the environment, or "".

    Returns
    -------
    str
        The configured one; without any, a new one each time where only this machine can reach `host`.

    Raises
    ------
    CatalogError
        When other machines can reach `host` and there is no secret, or it cannot be used as a secret.
    """
    if not configured and is_loopback(host):
        return secrets.token_hex(20)
    if not configured:
        raise CatalogError(
            f"other machines can reach {host}, and could make us pull: set the environment variable {SECRET_VARIABLE} to a "
            f"word of at least {_LENGTH_AT_LEAST} characters (`openssl rand -hex 20` makes one), or listen on 127.0.0.1"
        )
    if len(configured) < _LENGTH_AT_LEAST or not configured.isascii() or not configured.isprintable():
        raise CatalogError(
            f"{SECRET_VARIABLE} cannot be used as a secret: expected at least {_LENGTH_AT_LEAST} printable ASCII "
            f"characters, found {len(configured)} characters"
        )
    return configured


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("::")
    (True, True, False, False)
    >>> is_loopback("labels.example.org")
    False
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_right_secret(received: str | None, expected: str) -> bool:
    """Compare the secret of a request with ours; the time it takes tells nothing about how much of it is right."""
    return secrets.compare_digest((received or "").encode("utf-8", "replace"), expected.encode())


def register(server: AnnotationServer, catalog: Catalog, address: str, secret: str) -> tuple[Project, int]:
    """Make the project call an address at every change of an annotation, once however often this is called.

    Parameters
    ----------
    server, catalog
        The server, and the catalog whose project it is.
    address
        Where the receiver is, as the server reaches it.
    secret
        What the server sends with it.

    Returns
    -------
    tuple
        The project and the webhook's number.

    Raises
    ------
    CatalogError
        When the address is no URL.
    LabelError
        When the project is not there, or the server refuses.
    TransientError
        When the connection broke.
    """
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise CatalogError(f"the receiver's address, as Label Studio reaches it: expected http://HOST:PORT/, found {address!r}")
    project = server.find_project(catalog)
    if project is None:
        raise LabelError(f"the Label Studio at {server.url} has no project {catalog.label_studio.project!r}; push first")
    return project, server.register_webhook(project, address, {HEADER: secret}, [*_REGISTERED_EVENTS, _TRIAL_EVENT])


def try_webhook(server: AnnotationServer, project: Project, catalog: Catalog, received: Callable[[float], bool]) -> bool:
    """Make the server use the webhook now, by giving the project the title it has; tell whether the call was received.

    Parameters
    ----------
    server, project, catalog
        As `register` gives and takes them.
    received
        Waits so many seconds for a request and tells whether it came.
    """
    server.rename_project(project, catalog.label_studio.project)
    return received(5.0)
