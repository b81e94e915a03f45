"""Which Label Studio a catalog means, and with which token: the one place that reads the token."""

import os
from collections.abc import Callable

from figureground.catalog import Catalog
from figureground.clients import local_label_studio
from figureground.clients.label_studio import AnnotationServer, LabelStudioClient
from figureground.clients.label_studio.errors import TOKEN_VARIABLE
from figureground.errors import LabelError

_SECRET_PREFIX = "prefect:"

Connect = Callable[[Catalog], AnnotationServer]


def connect(catalog: Catalog) -> LabelStudioClient:
    """Connect to the catalog's Label Studio.

    The token comes from the local studio's own file when the address is the local studio's, else from the environment
    variable ``LABEL_STUDIO_API_KEY``: a legacy token, a personal access token, or ``prefect:NAME`` for the Prefect Secret
    block of that name.

    Raises
    ------
    LabelError
        When there is no token, it is refused, nothing listens there, or what listens is not a Label Studio.
    TransientError
        When the connection broke, or the server is busy.
    """
    url, token, origin = find_token(catalog)
    return LabelStudioClient(url, token, origin)


def find_token(catalog: Catalog) -> tuple[str, str, str]:
    """Find the address of the catalog's Label Studio, the token for it, and where the token comes from.

    Raises
    ------
    LabelError
        When there is no token, or the Prefect Secret cannot be read.
    """
    url = catalog.label_studio.url.rstrip("/")
    if token := local_label_studio.find_token(catalog, url):
        return url, token, "the local studio's own, in <storage>/.studio/token"
    token = read_secret(TOKEN_VARIABLE)
    if not token:
        raise LabelError(
            f"no token for the Label Studio at {url}: set the environment variable {TOKEN_VARIABLE} (its page Account & "
            "Settings shows one), or start a local one with `figureground studio up` and give its address as label_studio.url"
        )
    return url, token, f"the one in {TOKEN_VARIABLE}"


def read_secret(variable: str) -> str:
    """Read the secret that an environment variable holds, or that of the Prefect Secret block it names; "" when unset.

    Raises
    ------
    LabelError
        When there is no such block, or no Prefect server to ask.
    """
    text = os.environ.get(variable, "").strip()
    if not text.startswith(_SECRET_PREFIX):
        return text
    from prefect.blocks.system import Secret

    name = text.removeprefix(_SECRET_PREFIX)
    try:
        return str(Secret.load(name).get())  # type: ignore[union-attr]
    except ValueError as error:
        raise LabelError(
            f"{variable} names the Prefect Secret {name!r}, which cannot be read ({type(error).__name__}): make it in "
            "Prefect's page Blocks, and set PREFECT_API_URL to the server that has it"
        ) from error
