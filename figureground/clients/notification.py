"""Telling somebody that a run failed: a webhook, a command, or both. It never fails itself, and says no secret."""

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

SECONDS = 20.0
_PAUSES = (1.0, 4.0)
_SECRETS = (
    *("LABEL_STUDIO_API_KEY", "FIGUREGROUND_WEBHOOK_SECRET", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PREFECT_API_KEY"),
)
_IN_ADDRESSES = re.compile(r"(?<=://)[^/@\s]*(?=@)|(?<=\?)[^\s'\"<>]*=[^\s'\"<>]*")

_log = logging.getLogger(__name__)


def notify(entry: NotifyEntry | None, subject: str, text: str, facts: Mapping[str, Any]) -> list[str]:
    """Tell that something failed.

    Parameters
    ----------
    entry
        The catalog's `notify`; None tells nobody.
    subject
        One line.
    text
        What failed, why and what to do; plain text.
    facts
        The same for programs; anything `json.dumps` can write.

    Returns
    -------
    list of str
        What could not be told and why, without the address; empty when everybody was told.
    """
    if entry is None:
        return []
    hidden = _hidden(entry)
    subject, text = _clean(subject, hidden), _clean(text, hidden)
    told = {"text": f"{subject}\n{text}", "subject": subject, **json.loads(_clean(json.dumps(dict(facts)), hidden))}
    problems = [problem for problem in (_post(entry, told), _call(entry, subject, text, told)) if problem]
    for problem in problems:
        _log.error("%s", problem)
    return problems


def _hidden(entry: NotifyEntry) -> list[str]:
    """List the words that must not be said: secrets of the environment, the webhook's own too."""
    names = [*_SECRETS, *([entry.webhook.removeprefix("env:")] if entry.webhook and entry.webhook.startswith("env:") else [])]
    return [value for name in names if len(value := os.environ.get(name, "")) >= 4]


def _clean(text: str, hidden: list[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, "…").replace(json.dumps(secret)[1:-1], "…")
    return _IN_ADDRESSES.sub("…", text)


def _post(entry: NotifyEntry, told: Mapping[str, Any]) -> str:
    if entry.webhook is None:
        return ""
    named = entry.webhook.removeprefix("env:") if entry.webhook.startswith("env:") else ""
    address = os.environ.get(named, "").strip() if named else entry.webhook
    if not address.startswith(("http://", "https://")):
        return f"notify.webhook: the environment variable {named} holds no address; set it to one that starts with https://"
    where = f"notify.webhook at {urlsplit(address).hostname}"
    content = json.dumps(dict(told)).encode()
    try:
        retry(lambda: _send(address, content), _PAUSES, should_retry=_is_temporary, log=_log.info)
    except _NotSentError as error:
        return f"{where} {error}; see to it, or nobody hears of failures"
    return ""


class _NotSentError(Exception):
    """Says what went wrong without the address; `temporary` when it may work in a while."""

    def __init__(self, problem: str, *, temporary: bool) -> None:
        super().__init__(problem)
        self.temporary = temporary


def _is_temporary(error: Exception) -> bool:
    return isinstance(error, _NotSentError) and error.temporary


def _send(address: str, content: bytes) -> None:
    """Send once, with urllib: httpx would log the address, which may hold a secret."""
    request = urllib.request.Request(address, content, {"Content-Type": "application/json", "User-Agent": "figureground"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise _NotSentError(f"answered {error.code}", temporary=error.code >= 500 or error.code == 429) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        problem = f"cannot be reached ({type(error).__name__})"
        raise _NotSentError(problem, temporary=not isinstance(error, ValueError)) from None


def _call(entry: NotifyEntry, subject: str, text: str, told: Mapping[str, Any]) -> str:
    if entry.command is None:
        return ""
    environment = os.environ | {"FIGUREGROUND_SUBJECT": subject, "FIGUREGROUND_RUN": json.dumps(dict(told))}
    letter = f"{subject}\n\n{text}\n".encode()
    try:
        done = subprocess.run(entry.command, input=letter, env=environment, timeout=60, capture_output=True, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"notify.command {entry.command[0]} cannot be run ({type(error).__name__}); see to it, or nobody hears"
    return f"notify.command {entry.command[0]} ended with {done.returncode}; see to it" if done.returncode else ""
