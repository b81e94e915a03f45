"""Label Studio's webhook: where the server tells that somebody has answered, and the word that proves it is the server.

The word comes from the environment variable ``FIGUREGROUND_WEBHOOK_SECRET`` (or the Prefect Secret it names); a receiver that
only this machine can reach makes one up for itself. The server sends it in a header and is told to send nothing but what
kind of thing has happened.
"""

import ipaddress
import os
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from figureground.catalog import Catalog
from figureground.clients import label_studio
from figureground.clients.label_studio import Project, Server
from figureground.errors import CatalogError, LabelError

SECRET = "FIGUREGROUND_WEBHOOK_SECRET"
HEADER = "X-Figureground-Secret"
ANSWERED = frozenset(
    {
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_DELETED",
        "TASKS_DELETED",
    }
)
_OFFERED = sorted(ANSWERED - {"ANNOTATION_DELETED"})  # which no server sends by that name today, and which may come
_PROOF = "PROJECT_UPDATED"
_LENGTH_AT_LEAST = 16


def secret(host: str) -> str:
    """Give the word that the server has to know.

    Parameters
    ----------
    host
        The address that is listened on.

    Returns
    -------
    str
        What the environment says, or a new word each time where only this machine can reach `host`.

    Raises
    ------
    CatalogError
        When others can reach `host` and there is no word, or one that is too short or no plain text.
    LabelError
        When the Prefect Secret cannot be read.
    """
    word = label_studio.told(os.environ.get(SECRET, "").strip(), SECRET)
    if not word and own(host):
        return secrets.token_hex(20)
    if not word:
        raise CatalogError(
            f"others can reach {host}, and whoever does could make us pull: set the environment variable {SECRET} to a word "
            f"of at least {_LENGTH_AT_LEAST} characters (`openssl rand -hex 20` makes one), or listen on 127.0.0.1"
        )
    if len(word) < _LENGTH_AT_LEAST or not word.isascii() or not word.isprintable():
        raise CatalogError(
            f"{SECRET} is too easy or no plain text: expected at least {_LENGTH_AT_LEAST} printable ASCII characters, "
            f"found {len(word)} characters"
        )
    return word


def own(host: str) -> bool:
    """Tell whether only this machine can reach an address.

    >>> own("127.0.0.1"), own("localhost"), own("0.0.0.0"), own("::"), own("labels.example.org")
    (True, True, False, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def known(given: str | None, expected: str) -> bool:
    """Compare the word a request brings with ours; how long it takes tells nothing about how much of it is right."""
    return secrets.compare_digest((given or "").encode("utf-8", "replace"), expected.encode())


def register(server: Server, catalog: Catalog, address: str, word: str) -> tuple[Project, int]:
    """Make the project tell an address of every answer, once however often this is done.

    Parameters
    ----------
    server, catalog
        The server, and the catalog whose project it is.
    address
        Where the receiver is, as the server reaches it.
    word
        What the server shall send with it.

    Returns
    -------
    tuple
        The project and the webhook's number.

    Raises
    ------
    CatalogError
        When the address is none.
    LabelError
        When the project is not there, or the server refuses.
    TransientError
        When the connection broke.
    """
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise CatalogError(f"the receiver's address, as Label Studio reaches it: expected http://HOST:PORT/, found {address!r}")
    project = label_studio.find_project(server, catalog)
    if project is None:
        raise LabelError(f"the Label Studio at {server.url} has no project {catalog.label_studio.project!r}; push first")
    told = {"send_payload": False, "send_for_all_actions": False, "actions": [*_OFFERED, _PROOF], "is_active": True}
    hooks = server.client.webhooks
    with label_studio.speaking(server.url, f"registering the webhook {address}"):
        ours = sorted(hook.id for hook in hooks.list(project=str(project.project_id)) if hook.url == address)
        if not ours:
            ours = [hooks.create(url=address, project=project.project_id, headers={HEADER: word}, **told).id]
        else:
            hooks.update(ours[0], url=address, headers={HEADER: word}, **told)
        for twin in ours[1:]:
            hooks.delete(twin)
    return project, int(ours[0])


def unregister(server: Server, hook: int) -> None:
    """Take a webhook back: a server that tells somebody who has gone keeps every annotator waiting for a second."""
    with label_studio.speaking(server.url, f"removing the webhook {hook}"), label_studio.gone_is_fine():
        server.client.webhooks.delete(hook)


def reached(server: Server, project: Project, catalog: Catalog, heard: Callable[[float], bool]) -> bool:
    """Make the server use the webhook now, by giving the project the title it has; tell whether it was heard.

    Parameters
    ----------
    server, project, catalog
        As `register` gives and takes them.
    heard
        Waits so many seconds for a request and says whether it came.
    """
    with label_studio.speaking(server.url, "trying the webhook"):
        server.client.projects.update(project.project_id, title=catalog.label_studio.project)
    return heard(5.0)
