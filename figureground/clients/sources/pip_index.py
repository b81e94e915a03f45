"""Wheels from the user's own package index, through pip."""

import re
import subprocess
import sys
from pathlib import Path

from figureground.errors import SourceError, TransientError

_SECONDS_AT_MOST = 1800
FILE_BYTES_AT_MOST = 20_000_000_000
"""Of a package that is downloaded, and of each file on the way."""


class PipIndex:
    """The package index that the user's pip is set up for: with their mirror, proxy and certificates."""

    def download_archive(self, name: str, version: str, folder: Path) -> Path:
        """Download one wheel. A source archive never counts: pip would run its build code.

        Parameters
        ----------
        name, version
            The package.
        folder
            An empty folder.

        Returns
        -------
        Path
            The wheel, in `folder`.

        Raises
        ------
        SourceError
            When pip cannot download it.
        TransientError
            When pip took too long.
        """
        requirement = f"{name}=={version}"
        options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "-q", "-d", str(folder)]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        command = [*limit_files(), *pip, "download", *options, requirement]
        try:
            completed = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_SECONDS_AT_MOST, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise TransientError(f"pip did not fetch {requirement} in {_SECONDS_AT_MOST // 60} minutes; run again") from error
        if "No module named pip" in completed.stderr:
            raise SourceError(f"this Python ({sys.executable}) has no pip to download with; `uv pip install pip` adds it")
        wheels = list(folder.glob("*.whl"))
        if completed.returncode or not wheels:
            raise SourceError(
                f"pip could not download {requirement}: {summarize_errors(completed.stderr)}. Check the name and version, "
                "that this machine reaches a package index that has it (`pip download` by hand shows more), or give another "
                "path"
            )
        return wheels[0]


def limit_files() -> list[str]:
    """Give the beginning of a command whose files may not become larger than `FILE_BYTES_AT_MOST`: a disk is not filled."""
    code = (
        "import os, resource, sys; hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]; "
        f"most = {FILE_BYTES_AT_MOST} if hard == resource.RLIM_INFINITY else min(hard, {FILE_BYTES_AT_MOST}); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", code]


def summarize_errors(stderr: str) -> str:
    r"""Give the lines that matter of pip's messages, without addresses, which may hold a user's password.

    >>> summarize_errors("WARNING: Retrying\nERROR: No matching distribution found for a==9 at https://me:secret@host/simple/a")
    'ERROR: No matching distribution found for a==9 at <address>'
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = [line for line in lines if line.startswith("ERROR:")][-2:] or lines[-2:] or ["nothing"]
    if any("connection broken by" in line or "Max retries exceeded" in line for line in lines):
        last = ["no connection to the package index", *last]
    return hide_addresses("; ".join(last))


def hide_addresses(text: str) -> str:
    """Take the addresses out of an installer's message, and the middle when it is long."""
    hidden = re.sub(r"[A-Za-z][A-Za-z0-9+.-]*://\S+|(?<=host=)\S+", "<address>", text)
    return hidden if len(hidden) <= 600 else f"{hidden[:200]} … {hidden[-400:]}"
