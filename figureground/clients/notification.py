"""Notices of failed runs: posted to a webhook, given to a command, or both. A notice fails no run and holds no secret."""

import http.client
import json
import logging
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from figureground.catalog import NotifyEntry
from figureground.retry import retry

SECONDS_AT_MOST = 20.0
_COMMAND_SECONDS_AT_MOST = 60.0
_PAUSES_SECONDS = (1.0, 4.0)
_SECRETS = (
    "LABEL_STUDIO_API_KEY",
    "FIGUREGROUND_WEBHOOK_SECRET",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "PREFECT_API_KEY",
)
"""Environment variables whose values are taken out of every notice."""
_IN_ADDRESSES = re.compile(r"(?<=://)[^/@\s]*(?=@)|(?<=\?)[^\s'\"<>]*=[^\s'\"<>]*")
"""Passwords and queries of addresses."""

_log = logging.getLogger(__name__)


def notify(entry: NotifyEntry | None, subject: str, text: str, facts: Mapping[str, Any]) -> list[str]:
    """Send a notice of a failed run.

    Parameters
    ----------
    entry
        The catalog's `notify`; None sends nothing.
    subject
        One line.
    text
        What failed, why and what to do; plain text.
    facts
        The same for programs; anything that `json.dumps` can write.

    Returns
    -------
    list of str
        What could not be sent and why, without the address; empty when all was sent.
    """
    if entry is None:
        return []
    secrets = _secrets(entry)
    subject, text = _without_secrets(subject, secrets), _without_secrets(text, secrets)
    facts = json.loads(_without_secrets(json.dumps(dict(facts)), secrets))
    notice = json.dumps({"text": f"{subject}\n{text}", "subject": subject, **facts})
    problems = [problem for problem in (_post(entry, notice), _run_command(entry, subject, text, notice)) if problem]
    for problem in problems:
        _log.error("%s", problem)
    return problems


def _secrets(entry: NotifyEntry) -> list[str]:
    """Give the values of the environment's secrets, and the address of the webhook when it comes from the environment."""
    names = [*_SECRETS, *([entry.webhook.removeprefix("env:")] if entry.webhook and entry.webhook.startswith("env:") else [])]
    return [value for name in names if len(value := os.environ.get(name, "")) >= 4]


def _without_secrets(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…").replace(json.dumps(secret)[1:-1], "…")
    return _IN_ADDRESSES.sub("…", text)


def _post(entry: NotifyEntry, notice: str) -> str:
    """Post a notice; give the problem, or ""."""
    if entry.webhook is None:
        return ""
    variable = entry.webhook.removeprefix("env:") if entry.webhook.startswith("env:") else ""
    address = os.environ.get(variable, "").strip() if variable else entry.webhook
    if not address.startswith(("http://", "https://")):
        return f"notify.webhook: the environment variable {variable} holds no address; set it to one that starts with https://"
    content = notice.encode()
    try:
        retry(lambda: _send(address, content), _PAUSES_SECONDS, should_retry=_is_temporary, log=_log.info)
    except _NotSentError as error:
        return f"notify.webhook at {urlsplit(address).hostname} {error}; repair it, or failures stay unnoticed"
    return ""


class _NotSentError(Exception):
    """The reason without the address; `temporary` when it may work in a while."""

    def __init__(self, problem: str, *, temporary: bool) -> None:
        super().__init__(problem)
        self.temporary = temporary


def _is_temporary(error: Exception) -> bool:
    return isinstance(error, _NotSentError) and error.temporary


def _send(address: str, content: bytes) -> None:
    """Send once, with urllib: httpx would log the address, which may hold a secret."""
    request = urllib.request.Request(address, content, {"Content-Type": "application/json", "User-Agent": "figureground"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_AT_MOST):  # the catalog takes http(s) only  # nosec B310
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise _NotSentError(f"answered {error.code}", temporary=error.code >= 500 or error.code == 429) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        problem = f"cannot be reached ({type(error).__name__})"
        raise _NotSentError(problem, temporary=not isinstance(error, ValueError)) from None


def _run_command(entry: NotifyEntry, subject: str, text: str, notice: str) -> str:
    """Give a notice to the command; give the problem, or ""."""
    if entry.command is None:
        return ""
    environment = os.environ | {"FIGUREGROUND_SUBJECT": subject, "FIGUREGROUND_RUN": notice}
    message = f"{subject}\n\n{text}\n".encode()
    try:
        completed = subprocess.run(
            entry.command, input=message, env=environment, timeout=_COMMAND_SECONDS_AT_MOST, capture_output=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = f"cannot be run ({type(error).__name__})"
        return f"notify.command {entry.command[0]} {problem}; repair it, or failures stay unnoticed"
    return f"notify.command {entry.command[0]} ended with {completed.returncode}; repair it" if completed.returncode else ""
