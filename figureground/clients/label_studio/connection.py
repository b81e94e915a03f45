"""A connection to a Label Studio that accepted our token; each group of calls is built on it.

The SDK's own retries are off: repeating a call that may have worked is a decision, and it is made where the keys are known.
"""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx

from figureground.annotation import sync_cursor
from figureground.clients.label_studio.errors import BUSY_STATUS, Redactor, translate_errors
from figureground.errors import LabelError, TransientError

TIMEOUT_SECONDS = 60.0
REQUEST_SECONDS = 90.0
TASKS_PER_PAGE = 1000


class TokenAuth(httpx.Auth):
    """Signs our own requests: with a legacy token, or with an access token that a personal access token is exchanged for."""

    requires_response_body = True

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token, self._access = url, token, ""
        self._exchanged = token.count(".") == 2  # a personal access token is a JWT

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request; when an access token has expired, take a new one and repeat it."""
        if not self._exchanged:
            request.headers["Authorization"] = f"Token {self._token}"
            yield request
            return
        for fresh in (not self._access, True):
            if fresh:
                reply = yield httpx.Request("POST", f"{self._url}/api/token/refresh/", json={"refresh": self._token})
                self._access = str(reply.json().get("access", "")) if reply.status_code == 200 else ""
            request.headers["Authorization"] = f"Bearer {self._access}"
            reply = yield request
            if reply.status_code != 401 or fresh:
                return


class Connection:
    """A Label Studio that accepted our token. Printing it shows no secret; leaving a ``with`` closes it.

    Parameters
    ----------
    url
        The server's address.
    token
        A legacy token or a personal access token.
    token_origin
        Where the token comes from, for messages.
    timeout_seconds
        How long to wait for a reply.
    request_seconds
        For so long after it was sent, the server may still execute a request that nobody waits for any more.
    tasks_per_page
        How many tasks a list of changes asks for at once.

    Raises
    ------
    LabelError
        When the token is refused, nothing listens there, or what listens is not a Label Studio.
    TransientError
        When the connection broke, or the server is busy.
    """

    def __init__(
        self,
        url: str,
        token: str,
        token_origin: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        request_seconds: float = REQUEST_SECONDS,
        tasks_per_page: int = TASKS_PER_PAGE,
    ) -> None:
        from label_studio_sdk import LabelStudio

        self.url, self.request_seconds, self.tasks_per_page = url, request_seconds, tasks_per_page
        self._redactor, self._token_origin = Redactor((token,)), token_origin
        self._auth = TokenAuth(url, token)
        _check_server(url, self._redactor, timeout_seconds)
        self._http = httpx.Client(timeout=timeout_seconds, follow_redirects=True, trust_env=_is_remote(url))
        try:
            with self.translating("checking the token"):
                self.sdk: Any = LabelStudio(  # type: ignore[no-untyped-call]
                    base_url=url, api_key=token, timeout=timeout_seconds, max_retries=0, httpx_client=self._http
                )
                self.sdk.users.whoami()
        except BaseException:
            self._http.close()
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def translating(self, action: str) -> AbstractContextManager[None]:
        """Translate foreign errors of the block, see `figureground.clients.label_studio.errors`."""
        return translate_errors(self.url, action, self._redactor, self._token_origin)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """Request a path of the server for which the SDK has no call, with our token."""
        with self.translating(f"fetching {path}"):
            return self._http.get(self.url + path, params=params, auth=self._auth)

    def get_elsewhere(self, address: str) -> httpx.Response:
        """Request an address of another server; the token is not sent there."""
        with self.translating(f"fetching {address}"):
            return self._http.get(address)

    def read_clock(self) -> str:
        """Read the server's own time, as it writes times: the end of the current second.

        Raises
        ------
        LabelError
            When the server does not say what time it is.
        TransientError
            When the connection broke.
        """
        with self.translating("asking for the time"):
            reply = self._http.get(f"{self.url}/api/version")
        if reply.status_code != 200:
            raise TransientError(f"the Label Studio at {self.url} answered {reply.status_code} while asking for the time")
        date = reply.headers.get("date", "")
        try:
            return (parsedate_to_datetime(date).astimezone(UTC) + timedelta(seconds=1)).strftime(sync_cursor.TIME)
        except ValueError as error:
            raise LabelError(f"the Label Studio at {self.url} sends no valid time (its header Date is {date!r})") from error


def _check_server(url: str, redactor: Redactor, timeout_seconds: float) -> None:
    """Check that a Label Studio listens there, before the token is sent to it."""
    try:
        reply = httpx.get(f"{url}/api/version", timeout=timeout_seconds, follow_redirects=True, trust_env=_is_remote(url))
    except httpx.HTTPError as error:
        cause = redactor.describe(error)
        if not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)):
            raise TransientError(f"lost the server at {url} while asking for its version ({cause})") from error
        raise LabelError(
            f"no Label Studio answers at {url} ({cause}): start it (`figureground studio up` starts a local one), "
            "or set label_studio.url in the catalog to its address"
        ) from error
    if reply.status_code >= 500 or reply.status_code in BUSY_STATUS:
        raise TransientError(f"the server at {url} answers {reply.status_code}; try again later")
    try:
        is_label_studio = "release" in reply.json()
    except ValueError:
        is_label_studio = False
    if not is_label_studio:
        raise LabelError(
            f"the server at {url} is not a Label Studio (its /api/version says {reply.status_code}); "
            "set label_studio.url in the catalog to the address of a Label Studio, without a path"
        )


def _is_remote(url: str) -> bool:
    """Tell whether a server is on another machine: only then may a proxy of the environment stand between."""
    return httpx.URL(url).host not in ("127.0.0.1", "localhost", "::1")
