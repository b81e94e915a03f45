"""Files of this machine as sources: what a folder or a glob stands for now, and which of it is still being written."""

import difflib
import glob
import itertools
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from figureground.catalog import Catalog
from figureground.errors import SourceError
from figureground.media import addresses
from figureground.media.decoding import SUFFIXES
from figureground.types import Source

_log = logging.getLogger(__name__)


def videos(source: Source, catalog: Catalog) -> list[Path]:
    """List the videos that a folder or glob stands for, sorted.

    Raises
    ------
    SourceError
        When there are none.
    """
    place = of(source.path, catalog)
    if place.is_dir():
        inside = sorted(place.iterdir())
        found = [path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not found:
            raise SourceError(
                f"source {source.source_id}: {place} is a folder without videos: none of its {len(inside)} entries ends in "
                f"{', '.join(sorted(SUFFIXES))}. Put videos there, or give a glob such as {source.path.rstrip('/')}/**/*.mp4"
            )
        return found
    return _matched(source, catalog)


def photos(source: Source, catalog: Catalog) -> list[Path]:
    """List a source's photos: all files of a folder but hidden ones, or what a glob matches. What is none says so later.

    Raises
    ------
    SourceError
        When there are none.
    """
    place = of(source.path, catalog)
    if not place.is_dir():
        return [place] if place.is_file() else _matched(source, catalog)
    files = [path for path in sorted(place.iterdir()) if not path.is_dir() and not path.name.startswith(".")]
    if not files:
        raise SourceError(
            f"source {source.source_id}: {place} is a folder without files. Put photos there, or give a glob such as "
            f"{source.path.rstrip('/')}/**/*.jpg for those in its folders"
        )
    return files


def settled(files: Sequence[Path], seconds: float) -> list[Path]:
    """Leave out files that are still being written: those whose size or time moved within the last seconds.

    Parameters
    ----------
    files
        As a folder has them now.
    seconds
        A file that was touched within so many is looked at twice; 0 takes all as they are.

    Returns
    -------
    list of Path
        In the same order. What is left out is logged; the next run takes it.
    """
    young = {path: state(path) for path in files if seconds and time.time() - _touched(path) < seconds}
    if young:
        time.sleep(seconds)
    moving = {path for path, before in young.items() if state(path) != before}
    for path in sorted(moving):
        _log.warning("%s is still being written: it changed within the last %g seconds; the next run takes it", path, seconds)
    return [path for path in files if path not in moving]


def of(path: str, catalog: Catalog) -> Path:
    """Give a catalog's path as this machine's."""
    return catalog.folder / Path(path).expanduser()


def root(source: Source, catalog: Catalog) -> Path:
    """Give the folder below which photos are named: what stands before the first wildcard."""
    place = of(source.path, catalog)
    if place.is_dir():
        return place
    parts = itertools.takewhile(lambda part: not glob.has_magic(part), place.parts)
    found = Path(*parts)
    return found.parent if found == place else found


def as_written(file: Path, source: Source, catalog: Catalog) -> str:
    """Give a file's path as the catalog would have it: relative to its folder, unless the source's is absolute."""
    absolute = Path(source.path).expanduser().is_absolute()
    return str(file) if absolute else os.path.relpath(file, catalog.folder)


def state(path: Path) -> list[int]:
    """Give what tells cheaply that a file changed, or that it can be read now; nothing when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, os.access(path, os.R_OK)]


def look(source: Source, catalog: Catalog) -> list[int] | None:
    """Give what tells cheaply that a source's one file changed; None for an address.

    Raises
    ------
    SourceError
        When it is not there or no file.
    """
    if addresses.is_address(source.path):
        return None
    place = of(source.path, catalog)
    try:
        status = place.stat()
    except OSError as error:
        raise SourceError(f"source {source.source_id}: {place}: {error.strerror}; {_near_names(place)}") from error
    if not place.is_file():
        raise SourceError(f"source {source.source_id}: {place} is no file; expected one video here (see `expand`)")
    return [status.st_size, status.st_mtime_ns]


def _touched(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _matched(source: Source, catalog: Catalog) -> list[Path]:
    place = of(source.path, catalog)
    pattern = str(Path(source.path).expanduser())  # Path.glob takes no absolute pattern
    found = sorted(glob.glob(pattern, root_dir=catalog.folder, recursive=True))  # noqa: PTH207
    files = [catalog.folder / name for name in found if (catalog.folder / name).is_file()]
    if not files:
        raise SourceError(f"source {source.source_id}: {place}: no such file, folder or glob; {_near_names(place)}")
    return files


def _near_names(place: Path) -> str:
    folder = next(parent for parent in place.parents if parent.is_dir())
    if not os.access(folder, os.R_OK):
        return f"{folder} cannot be listed by this user"
    names = sorted(path.name for path in folder.iterdir())
    lost = place.relative_to(folder).parts[0]
    near = difflib.get_close_matches(lost, names, n=3) or names[:5]
    return f"{folder} has no {lost!r}, it has {', '.join(near) or 'nothing'}"
