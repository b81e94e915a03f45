"""The SDK's and the connection's errors → `LabelError` (repeating changes nothing) and `TransientError` (it may help).

No message repeats the token: servers and libraries may write it into theirs, so they pass through a `Redactor`.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from figureground.errors import LabelError, TransientError

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"
BUSY_STATUS = (408, 425, 429)


class DeepAnswerError(LabelError):
    """What the server sends nests too deep to be read: no editor gives that, but whoever may label can send it."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Removes secrets from messages."""

    secrets: tuple[str, ...] = field(repr=False)

    def redact(self, text: str) -> str:
        """Replace each secret in a text."""
        for secret in self.secrets:
            text = text.replace(secret, "…")
        return text

    def describe(self, error: Exception) -> str:
        """Give an error's message without secrets, or its class when it has no message."""
        return self.redact(str(error)) or type(error).__name__


@contextlib.contextmanager
def translate_errors(url: str, action: str, redactor: Redactor, token_origin: str) -> Iterator[None]:
    """Translate what the SDK and httpx raise.

    Parameters
    ----------
    url
        The server.
    action
        What is being done, for messages: ``looking up tasks``.
    redactor
        Removes the token from foreign messages.
    token_origin
        Where the token comes from, for the message that it is refused.

    Raises
    ------
    LabelError
        When the server refuses.
    DeepAnswerError
        When what it sends nests too deep.
    TransientError
        When the connection broke, the server took too long, or it says that it is broken or busy.
    """
    try:
        yield
    except httpx.HTTPError as error:
        raise TransientError(f"lost the Label Studio at {url} while {action} ({redactor.describe(error)})") from error
    except RecursionError as error:
        raise DeepAnswerError(f"an answer at {url} nests too deep to be read, while {action}; expected a few levels") from error
    except api_error() as error:
        error.headers = None  # type: ignore[attr-defined]  # among them a session's cookie, which is as good as the token
        error.body = redactor.redact(describe_body(error.body))  # type: ignore[attr-defined]
        raise _translated(url, action, token_origin, error) from error


@contextlib.contextmanager
def ignore_missing() -> Iterator[None]:
    """Continue when what is to be deleted or changed does not exist: an earlier try may have worked unheard."""
    try:
        yield
    except api_error() as error:
        if getattr(error, "status_code", None) != 404:
            raise


@contextlib.contextmanager
def expect_task(url: str, task_id: int) -> Iterator[None]:
    """Raise a `TransientError` when a task is gone: two pushes without one lock delete each other's duplicates."""
    try:
        yield
    except api_error() as error:
        status, detail = getattr(error, "status_code", None), describe_body(getattr(error, "body", ""))
        if status == 404 or (status == 400 and "does not exist" in detail):
            raise TransientError(f"task {task_id} at {url} is gone: another program deleted it just now") from None
        raise


def api_error() -> type[Exception]:
    """Import the SDK's error class, which takes a second, only when it is needed."""
    from label_studio_sdk.core.api_error import ApiError

    return ApiError


def describe_body(body: Any) -> str:
    """Give the informative part of an error's body."""
    if hasattr(body, "model_dump"):
        body = body.model_dump()
    if isinstance(body, Mapping):
        body = body.get("validation_errors") or body.get("detail") or dict(body)
    return (body if isinstance(body, str) else json.dumps(body, default=str, ensure_ascii=False))[:600]


def _translated(url: str, action: str, token_origin: str, error: Any) -> LabelError | TransientError:
    status = error.status_code or 0
    if status in (401, 403):
        return LabelError(
            f"the Label Studio at {url} refuses the token ({token_origin}): take a valid one from its page Account & Settings "
            f"and set {TOKEN_VARIABLE}, or check that label_studio.url is the server you mean"
        )
    if status >= 500 or status in BUSY_STATUS:
        return TransientError(f"the Label Studio at {url} answered {status} while {action}")
    return LabelError(f"the Label Studio at {url} refused {action}: {status} {describe_body(error.body)}")
