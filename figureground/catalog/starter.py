"""A first catalog for a folder of videos or photos: small, commented, and valid as it stands."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from figureground import ids
from figureground.errors import CatalogError
from figureground.media.decoding import SUFFIXES
from figureground.storage.atomic import write_file

FEW_VIDEOS = 10
"""With fewer sources a val split of a tenth would often be empty, and a release without it is refused."""

_PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".jp2", ".ppm"})


@dataclass(frozen=True, slots=True)
class FolderContents:
    """What lies in a folder: the number of videos and of photos, hidden files left out."""

    videos: int
    photos: int


def count_files(folder: Path) -> FolderContents:
    """Count the videos and photos of a folder, without those of its subfolders.

    Raises
    ------
    CatalogError
        When it is not a folder, or has neither.
    """
    if not folder.is_dir():
        raise CatalogError(
            f"{folder}: no such folder. Expected a folder with videos or photos, for example `figureground init videos`"
        )
    suffixes = [path.suffix.lower() for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    contents = FolderContents(
        sum(suffix in SUFFIXES for suffix in suffixes), sum(suffix in _PHOTO_SUFFIXES for suffix in suffixes)
    )
    if not (contents.videos or contents.photos):
        raise CatalogError(
            f"{folder}: a folder without videos or photos: none of its {len(suffixes)} files ends in .mp4, .mov, .mkv, .jpg or "
            "another suffix that is read. Put files there, or give another folder"
        )
    return contents


def render(folder: Path, contents: FolderContents, license_name: str, scenes: Sequence[str], name: str, beside: Path) -> str:
    """Write the catalog of one folder.

    Parameters
    ----------
    folder
        The folder of videos or photos.
    contents
        What lies in it.
    license_name
        What may be done with the footage, such as ``CC-BY-4.0``.
    scenes
        Where it was filmed; may be empty.
    name
        The name of the source; "" takes the folder's name.
    beside
        The folder of the catalog; a path below it is written relative to it.

    Returns
    -------
    str
        YAML.
    """
    name = name or ids.make_slug(folder.resolve().name, 40)
    path = _path_from(folder, beside)
    kinds = [("video", contents.videos)] * bool(contents.videos) + [("images", contents.photos)] * bool(contents.photos)
    lines = ["# Where the footage is, and what is made of it. All keys: docs/catalog.md", "sources:"]
    for kind, count in kinds:
        own_name = f"{name}-photos" if kind == "images" and len(kinds) > 1 else name
        meaning = "each of its videos becomes a source of its own" if kind == "video" else "each photo is a frame"
        lines += [
            f"  {_quote(own_name)}:",
            *([f"    kind: {kind}"] if kind != "video" else []),
            f"    path: {_quote(path)}  # {_count(count, kind)} now; {meaning}",
            f"    license: {_quote(license_name)}  # what may be done with them; written into every release",
            *([f"    scenes: [{', '.join(map(_quote, scenes))}]  # where they were filmed"] if scenes else []),
        ]
    if contents.videos + contents.photos < FEW_VIDEOS:
        lines += ["releases: {val: 0}  # with few videos all go to train; remove this line when there are more"]
    lines += [
        "# storage: data         # where everything is written; the default is the folder data beside this file",
        "# label_studio: {url: http://127.0.0.1:8080}  # a server of your own; without it `figureground studio up` starts one",
    ]
    return "\n".join(lines) + "\n"


def write(file: Path, text: str) -> None:
    """Write a first catalog.

    Raises
    ------
    CatalogError
        When there is a catalog already, or the file cannot be written.
    """
    if file.exists():
        raise CatalogError(
            f"{file}: exists already, and is not replaced. Add the folder to its `sources:`, or give --catalog FILE"
        )
    try:
        write_file(file, text.encode())
    except OSError as error:
        raise CatalogError(f"{file}: cannot be written ({error.strerror}); give another with --catalog FILE") from error


def _path_from(folder: Path, beside: Path) -> str:
    absolute, base = folder.resolve(), beside.resolve()
    return os.path.relpath(absolute, base) if absolute.is_relative_to(base) else str(absolute)


def _count(number: int, kind: str) -> str:
    noun = "video" if kind == "video" else "photo"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _quote(text: str) -> str:
    """Write text as YAML would, quoted where it must be."""
    return yaml.safe_dump(text, default_style=None, allow_unicode=True, width=10_000).removesuffix("...\n").strip()
