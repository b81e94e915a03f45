"""Files of this machine as sources: which files a folder or a glob stands for, and which of them are still being written."""

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


def list_videos(source: Source, catalog: Catalog) -> list[Path]:
    """List the videos that a folder or glob stands for, sorted.

    Raises
    ------
    SourceError
        When there are none.
    """
    place = resolve_path(source.path, catalog)
    if not place.is_dir():
        return _match(source, catalog)
    inside = sorted(place.iterdir())
    videos = [path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not videos:
        raise SourceError(
            f"source {source.source_id}: {place} is a folder without videos: none of its {len(inside)} entries ends in "
            f"{', '.join(sorted(SUFFIXES))}. Put videos there, or give a glob such as {source.path.rstrip('/')}/**/*.mp4"
        )
    return videos


def list_photos(source: Source, catalog: Catalog) -> list[Path]:
    """List the photos of a source, sorted: all files of a folder but hidden ones, or the files that a glob matches.

    Whether a file is a photo shows when it is decoded.

    Raises
    ------
    SourceError
        When there are none.
    """
    place = resolve_path(source.path, catalog)
    if not place.is_dir():
        return [place] if place.is_file() else _match(source, catalog)
    files = [path for path in sorted(place.iterdir()) if not path.is_dir() and not path.name.startswith(".")]
    if not files:
        raise SourceError(
            f"source {source.source_id}: {place} is a folder without files. Put photos there, or give a glob such as "
            f"{source.path.rstrip('/')}/**/*.jpg for those in its folders"
        )
    return files


def finished_files(files: Sequence[Path], seconds: float) -> list[Path]:
    """Leave out the files that are still being written: those whose size or time changes.

    Parameters
    ----------
    files
        Files of this machine.
    seconds
        A file that was changed within these seconds is checked again after them; 0 checks none.

    Returns
    -------
    list of Path
        In the same order. What is left out is logged.
    """
    young = {path: file_state(path) for path in files if seconds and time.time() - _modified(path) < seconds}
    if young:
        time.sleep(seconds)
    growing = {path for path, before in young.items() if file_state(path) != before}
    for path in sorted(growing):
        _log.warning("%s is still being written: it changed within the last %g seconds; the next run takes it", path, seconds)
    return [path for path in files if path not in growing]


def resolve_path(path: str, catalog: Catalog) -> Path:
    """Give a path of the catalog as a path of this machine."""
    return catalog.folder / Path(path).expanduser()


def photo_root(source: Source, catalog: Catalog) -> Path:
    """Give the folder below which photos are named: what comes before the first wildcard."""
    place = resolve_path(source.path, catalog)
    if place.is_dir():
        return place
    root = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), place.parts))
    return root.parent if root == place else root


def catalog_path(file: Path, source: Source, catalog: Catalog) -> str:
    """Give a file's path as the catalog would have it: relative to its folder, unless the source's path is absolute."""
    absolute = Path(source.path).expanduser().is_absolute()
    return str(file) if absolute else os.path.relpath(file, catalog.folder)


def file_state(path: Path) -> list[int]:
    """Give the size, time and readability of a file, which cheaply tell that it changed; nothing when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, os.access(path, os.R_OK)]


def source_state(source: Source, catalog: Catalog) -> list[int] | None:
    """Give the size and time of a source's one file; None for an address.

    Raises
    ------
    SourceError
        When it is not there, or not a file.
    """
    if addresses.is_address(source.path):
        return None
    place = resolve_path(source.path, catalog)
    try:
        status = place.stat()
    except OSError as error:
        raise SourceError(f"source {source.source_id}: {place}: {error.strerror}; {_near_names(place)}") from error
    if not place.is_file():
        raise SourceError(f"source {source.source_id}: {place} is no file; expected one video here (see `expand`)")
    return [status.st_size, status.st_mtime_ns]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _match(source: Source, catalog: Catalog) -> list[Path]:
    place = resolve_path(source.path, catalog)
    pattern = str(Path(source.path).expanduser())  # Path.glob takes no absolute pattern
    names = sorted(glob.glob(pattern, root_dir=catalog.folder, recursive=True))  # noqa: PTH207
    files = [catalog.folder / name for name in names if (catalog.folder / name).is_file()]
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
