"""RGBA pictures → people ready to be composed: read, refused with a reason, colours cleaned, kept in the storage."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from figureground import documents, ids, progress, tables
from figureground.catalog import Catalog, ComposeRecipe
from figureground.datasets import manifest, splits
from figureground.errors import ReleaseError, SourceError
from figureground.parallel import map_ordered
from figureground.similarity import duplicates
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.synthesis import cutouts
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.cutouts import Cutout
from figureground.synthesis.placement import Rules, Subject, too_wide
from figureground.tables import PersonRow
from figureground.types import Image, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the people change for the same inputs."""

SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg")
_HEIGHTS = 3
_RELEASE = "cutouts"


class _Entry(NamedTuple):
    """A picture that is listed: the id it becomes, its source, its file, and the split that a release gave it."""

    person_id: str
    origin: str
    original: str
    split: str


@retried_task
def load_cutouts(catalog: Catalog) -> TableRef:
    """Read the cutouts that the catalog's ``compose.people`` names.

    Parameters
    ----------
    catalog
        Gives the folders and the storage; files go to ``cutouts/<note>/``.

    Returns
    -------
    TableRef
        The people table, one row a picture, sorted by id; those that cannot be used have a ``reason`` and no file.

    Raises
    ------
    SourceError
        When a folder is not there or holds no picture.
    StoreError
        When the storage cannot be written to.
    """
    recipe, store = catalog.composition(), Store(catalog.storage_root)
    entries = sorted(_list_cutouts(recipe, catalog.folder), key=lambda entry: entry.person_id)
    digests = [sha256(Path(entry.original).read_bytes()) for entry in entries]
    size = recipe.width, recipe.height, recipe.person_height, recipe.enlarged_at_most
    files = [[*entry] for entry in entries]
    mark = tables.fingerprint("people", [], version=VERSION, files=files, digests=digests, size=size)
    if ref := tables.fresh(store, "people", recipe.note, mark):
        return ref
    done = map_ordered(lambda entry: _row(entry, recipe, store), entries)
    rows = list(progress.track(done, "gather", recipe.note, len(entries)))
    facts = {"usable": sum(not row.reason for row in rows)}
    return tables.write_rows(store, "people", recipe.note, rows, fingerprint=mark, facts=facts)


def _list_cutouts(recipe: ComposeRecipe, base: Path) -> Iterator[_Entry]:
    """List the pictures of all folders, each with its source and, where a release put it, its split."""
    taken: Counter[str] = Counter()
    for place in recipe.people:
        folder = (base / Path(place).expanduser()).resolve()
        files = documents.list_regular_files(folder, SUFFIXES) if folder.is_dir() else []
        if not files:
            raise SourceError(f"compose.people: {folder} is no folder with pictures; expected RGBA as {', '.join(SUFFIXES)}")
        released = _released(folder)
        for file in files:
            inside = file.relative_to(folder).parent.as_posix().removeprefix(".")
            source_and_split = released.get(file.stem) or (splits.source_of(file.stem, inside), "")
            name = ids.make_slug(file.stem if not inside or released else f"{inside}-{file.stem}", 120)
            taken[name] += 1
            name = f"{name}_{taken[name]}" if taken[name] > 1 else name  # two folders may hold one name
            yield _Entry(name, source_and_split[0], str(file), source_and_split[1])


def _released(folder: Path) -> dict[str, tuple[str, str]]:
    """Give source and split of each stem when the folder is the cutouts of a release."""
    file = next((up / manifest.FILE for up in (folder, *folder.parents[:2]) if (up / manifest.FILE).is_file()), None)
    if file is None:
        return {}
    content = file.read_bytes()
    if problem := manifest.check_seal(content):
        raise ReleaseError(f"{file}: {problem}; `figureground verify {file.parent}` says more")
    return {stem: (entry.source, entry.split) for stem, entry in manifest.parse(content).samples.items()}


def _row(entry: _Entry, recipe: ComposeRecipe, store: Store) -> PersonRow:
    try:
        cutout = cutouts.prepared(*cutouts.read(Path(entry.original).read_bytes(), Path(entry.original).name))
    except SourceError as error:
        return _reject(entry, str(error))
    cutout = cutouts.shrunk(cutout, _HEIGHTS * recipe.height)
    if reason := _unfit(entry, cutout, recipe):
        return _reject(entry, reason)
    file, content = f"cutouts/{recipe.note}/{entry.person_id}.png", cutouts.encode(cutout)
    return PersonRow(
        **entry._asdict(),
        width=cutout.levels.shape[1],
        height=cutout.levels.shape[0],
        sides=tuple(cutout.sides),
        signature=duplicates.pack(duplicates.compute_signature(_on_grey(cutout))),
        reason="",
        file=file,
        sha256=store.write(file, content),
    )


def _reject(entry: _Entry, reason: str) -> PersonRow:
    return PersonRow(**entry._asdict(), width=0, height=0, sides=(), signature=b"", reason=reason, file="", sha256="")


def _unfit(entry: _Entry, cutout: Cutout, recipe: ComposeRecipe) -> str:
    height, width = cutout.levels.shape
    rules = Rules(height=recipe.person_height, enlarged_at_most=recipe.enlarged_at_most)
    if entry.split == "test":
        return "held out: its source is in a release's test"
    if "top" in cutout.sides:
        return "cut off: the person reaches the picture's upper edge, so the head may be missing"
    if too_wide(Subject(entry.person_id, width, height), Size(recipe.width, recipe.height), rules):
        low = math.ceil(recipe.person_height[0] * recipe.height)
        wide = round(width / height * low)
        return f"larger than the background: {low} pixels high it is {wide} wide, and pictures are {recipe.width}"
    if recipe.person_height[0] * recipe.height > recipe.enlarged_at_most * height:
        return f"too small: {width}x{height} pixels, enlarged at most {recipe.enlarged_at_most:g} times"
    return ""


def _on_grey(cutout: Cutout) -> Image:
    weight = cutout.levels[:, :, None].astype(np.uint16)
    return np.asarray((cutout.image * weight + 128 * (255 - weight) + 127) // 255, np.uint8)
