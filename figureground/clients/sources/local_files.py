"""Files of this machine as sources: which files a folder or a glob stands for, and which of them are still being written.

Hidden files, and what is neither picture nor video, take part in nothing: cameras, phones and desktops lay such files beside
the ones that are meant (``IMG_1.AAE``, ``._IMG_1.JPG``, ``Thumbs.db``).
"""

import difflib
import glob
import itertools
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from figureground import documents, ids
from figureground.catalog import Catalog
from figureground.errors import SourceError
from figureground.media import addresses
from figureground.media.decoding import SUFFIXES
from figureground.types import Source

_log = logging.getLogger(__name__)

_PICTURES = frozenset(
    {".arw", ".avif", ".bmp", ".cr2", ".cr3", ".dng", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe"}
    | {".jpeg", ".jpf", ".jpg", ".jpx", ".jxl", ".nef", ".orf", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".raf"}
    | {".rw2", ".svg", ".tif", ".tiff", ".webp"}
)
"""What a picture's name may end with, in lower case; one that cannot be read is refused with a reason when it is decoded."""
_ANIMATIONS = frozenset({".avif", ".gif", ".webp"})
_NEITHER = frozenset(
    {".aac", ".aae", ".ass", ".bak", ".crdownload", ".csv", ".db", ".doc", ".docx", ".gz", ".htm", ".html", ".ini"}
    | {".json", ".log", ".lrv", ".m4a", ".md", ".mp3", ".part", ".pdf", ".plist", ".py", ".sha256", ".srt", ".sub", ".tar"}
    | {".thm", ".tmp", ".tsv", ".txt", ".url", ".vtt", ".wav", ".xml", ".xmp", ".yaml", ".yml", ".zip"}
)
"""What names of files that are neither picture nor video end with."""
_SIGNATURES = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51",
)  # fmt: skip
_SIGNATURE_BYTES = 12


def list_videos(source: Source, catalog: Catalog) -> list[Path]:
    """List the videos that a folder or glob stands for, sorted.

    Raises
    ------
    SourceError
        When there are none.
    """
    location = resolve_path(source.path, catalog)
    if not location.is_dir():
        return _match(source, catalog)
    inside = sorted(location.iterdir())
    named = [path for path in inside if path.suffix.lower() in SUFFIXES and not _is_hidden(path, location)]
    videos = [path for path in named if path.is_file() and not documents.describe_irregular(path, location)]
    if not videos:
        _refuse_irregular(source, named, location)
        raise SourceError(
            f"source {source.source_id}: {location} is a folder without videos: none of its {len(inside)} entries ends in "
            f"{', '.join(sorted(SUFFIXES))}. Put videos there, or give a glob such as {source.path.rstrip('/')}/**/*.mp4"
        )
    return videos


def list_photos(source: Source, catalog: Catalog) -> list[Path]:
    """List the photos of a source, sorted: the pictures of a folder, or those that a glob matches.

    Whether a file is a picture shows in its name, or without a known ending in its first bytes; whether it can be read, when
    it is decoded.

    Raises
    ------
    SourceError
        When there are none.
    """
    location = resolve_path(source.path, catalog)
    if not location.is_dir():
        return [location] if location.is_file() else _match(source, catalog)
    inside = [path for path in sorted(location.iterdir()) if not path.is_dir() and not _is_hidden(path, location)]
    files = [path for path in inside if not documents.describe_irregular(path, location) and _is_picture(path)]
    if not files:
        _refuse_irregular(source, inside, location)
        without = f"photos: none of its {len(inside)} files is a picture" if inside else "files"
        raise SourceError(
            f"source {source.source_id}: {location} is a folder without {without}. Put photos there, or give a glob such as "
            f"{source.path.rstrip('/')}/**/*.jpg for those in its folders"
        )
    return files


def describe_irregular_files(source: Source, catalog: Catalog) -> str:
    """Say which links and special files of a source's folder or glob are left out, and why; "" for none.

    The folder itself may be a link, and a link inside that stays inside is followed; others would let whoever may write to the
    folder have any file of this machine copied into the storage.
    """
    place = resolve_path(source.path, catalog)
    if addresses.is_address(source.path) or source.kind not in ("video", "images") or place.is_file():
        return ""
    if place.is_dir():
        suffixes, root, listed = _PICTURES if source.kind == "images" else SUFFIXES, place, sorted(place.iterdir())
        meant = [path for path in listed if path.suffix.lower() in suffixes]
    else:
        root, meant = photo_root(source, catalog), _glob(source, catalog)
    return _describe_irregular([path for path in meant if not _is_hidden(path, root)], root)


def _describe_irregular(paths: Sequence[Path], root: Path) -> str:
    reasons = {path: documents.describe_irregular(path, root) for path in paths}
    return "; ".join(f"{path} is {reason}" for path, reason in reasons.items() if reason)


def _refuse_irregular(source: Source, paths: Sequence[Path], root: Path) -> None:
    if reasons := _describe_irregular(paths, root):
        raise SourceError(f"source {source.source_id}: no file in {root} can be taken: {reasons}")


def _is_hidden(path: Path, root: Path) -> bool:
    return ids.is_hidden(path.relative_to(root).as_posix())


def _is_picture(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in _PICTURES or (suffix not in SUFFIXES and suffix not in _NEITHER and _begins_like_picture(path))


def _begins_like_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            begin = file.read(_SIGNATURE_BYTES)
    except OSError:
        return False
    return begin.startswith(_SIGNATURES) or begin[4:8] == b"ftyp" or (begin[:4] == b"RIFF" and begin[8:] == b"WEBP")


def _may_be_video(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix not in _NEITHER and (suffix not in _PICTURES or suffix in _ANIMATIONS)


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
    location = resolve_path(source.path, catalog)
    if location.is_dir():
        return location
    root = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), location.parts))
    return root.parent if root == location else root


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
    location = resolve_path(source.path, catalog)
    try:
        status = location.stat()
    except OSError as error:
        raise SourceError(f"source {source.source_id}: {location}: {error.strerror}; {_near_names(location)}") from error
    if not location.is_file():
        raise SourceError(f"source {source.source_id}: {location} is no file; expected one video here (see `expand`)")
    return [status.st_size, status.st_mtime_ns]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _match(source: Source, catalog: Catalog) -> list[Path]:
    location = resolve_path(source.path, catalog)
    root, ending = photo_root(source, catalog), location.suffix.lower()
    found = _glob(source, catalog)
    matched = [path for path in found if path.is_file() and not documents.describe_irregular(path, root)]
    takes = _is_picture if source.kind == "images" else _may_be_video
    visible = [path for path in matched if not _is_hidden(path, root)]
    files = [path for path in visible if takes(path) or (path.suffix and path.suffix.lower() == ending)]
    if not files:
        _refuse_irregular(source, [path for path in found if not _is_hidden(path, root) and not path.is_dir()], root)
        raise SourceError(f"source {source.source_id}: {location}: no such file, folder or glob; {_near_names(location)}")
    return files


def _glob(source: Source, catalog: Catalog) -> list[Path]:
    pattern = str(Path(source.path).expanduser())  # Path.glob takes no absolute pattern
    names = sorted(glob.glob(pattern, root_dir=catalog.folder, recursive=True))  # noqa: PTH207
    return [catalog.folder / name for name in names]


def _near_names(location: Path) -> str:
    folder = next(parent for parent in location.parents if parent.is_dir())
    if not os.access(folder, os.R_OK):
        return f"{folder} cannot be listed by this user"
    names = sorted(path.name for path in folder.iterdir())
    lost = location.relative_to(folder).parts[0]
    near = difflib.get_close_matches(lost, names, n=3) or names[:5]
    return f"{folder} has no {lost!r}, it has {', '.join(near) or 'nothing'}"
