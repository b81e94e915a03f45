"""Kept crops → mattes: what is person in each, as the machine sees it.

Each matte's file carries what it was made from: the crop's hash, the remover's settings and weights, the code's
version. A file with the right mark is never made again, so moving a check's limit back and forth, or being killed
halfway, costs no second run of the network. Behind the mark stands how sure the remover was.

A remover that ``remembers`` sees its crops in fixed groups, and a group is made whole or not at all: else a matte would
depend on which of its neighbours were there already.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import pandas as pd

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.errors import ArrayError
from figureground.imaging import crops as cutting
from figureground.imaging import masks
from figureground.inference import backends
from figureground.mattes import confidence
from figureground.media.restore import restore_evicted
from figureground.parallel import ordered
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables.shards import Work
from figureground.types import Alpha, PersonCrop, TableRef
from tasks import verb

GROUP = 8
"""So many crops a remover that remembers sees together."""

_AT_A_TIME = 2


@verb
def matte(crops: TableRef, verdicts: TableRef, catalog: Catalog) -> TableRef:
    """Make a soft mask of every kept crop.

    Parameters
    ----------
    crops, verdicts
        One source's tables.
    catalog
        Gives the storage and the remover.

    Returns
    -------
    TableRef
        The mattes table, its rows in the crops' order; files ``mattes/<source>/<crop_id>.png``, 8-bit alpha. Its facts name
        the ``weights`` by hash, and how many mattes are so doubtful that each ``needs_person``.

    Raises
    ------
    AssetError
        When the remover's weights are not in the cache or not the pinned ones.
    StoreError
        When a crop's picture is missing or damaged, or a matte cannot be written.
    """
    doing = work(crops, verdicts, catalog)
    if ref := doing.fresh():
        return ref
    rows = list(doing.found(doing.rows()))
    facts: dict[str, Any] = {"weights": {weights.name: weights.sha256 for weights in plugins.weights(catalog.remover())}}
    facts["needs_person"] = sum(confidence.doubtful(row["score"]) for row in rows)
    return tables.write(doing.store, "mattes", crops.source_id, pd.DataFrame(rows), fingerprint=doing.mark, facts=facts)


def work(crops: TableRef, verdicts: TableRef, catalog: Catalog) -> Work:
    """Give what `matte` does as work that can be done in shards: of each kept crop its row of the mattes table is found."""
    store, remover = Store(catalog.storage_root), catalog.remover()

    def rows() -> list[Mapping[Any, Any]]:
        restore_evicted(store, crops.source_id, "crops")
        return _kept(store, crops, verdicts)

    def find(kept: Sequence[Mapping[Any, Any]]) -> Iterator[dict[str, Any]]:
        done = ordered(lambda group: _matted(store, remover, group), _groups(kept, remover), threads=backends.lanes())
        return chain.from_iterable(done)

    return Work(
        store,
        verb="matte",
        stage="mattes",
        source_id=crops.source_id,
        mark=tables.fingerprint("mattes", [crops, verdicts], remover=_settings(remover)),
        together=_together(remover),
        rows=rows,
        find=find,
        files=lambda row: [row],
    )


class _Made(NamedTuple):
    """A matte that is there already: its file's hash and its score."""

    sha256: str
    score: float


class _Job(NamedTuple):
    row: Mapping[Any, Any]
    file: str
    mark: str


def _kept(store: Store, crops: TableRef, verdicts: TableRef) -> list[Mapping[Any, Any]]:
    judged = tables.read(store, verdicts).rows
    wanted = set(judged.loc[judged["kept"].astype(bool), "crop_id"])
    return [row for row in tables.read(store, crops).rows.to_dict("records") if row["crop_id"] in wanted]


def _file(row: Mapping[Any, Any]) -> str:
    return f"mattes/{row['source_id']}/{row['crop_id']}.png"


def _settings(remover: Any) -> dict[str, Any]:
    """Give what the mattes depend on besides the crops: settings, weights, and the code."""
    return {**plugins.describe(remover), "code": plugins.code(remover)}


def _together(remover: Any) -> int:
    return GROUP if getattr(remover, "remembers", False) else _AT_A_TIME


def _groups(kept: Sequence[Mapping[Any, Any]], remover: Any) -> Iterator[list[_Job]]:
    """Give what one thread works on at a time; where the remover remembers, a matte is marked by its whole group."""
    settings, remembers, size = _settings(remover), getattr(remover, "remembers", False), _together(remover)
    for start in range(0, len(kept), size):
        group = kept[start : start + size]
        hashes = [row["sha256"] for row in group] if remembers else []
        marks = (tables.fingerprint("matte", [], crop=[row["sha256"], *hashes], remover=settings) for row in group)
        yield [_Job(row, _file(row), mark) for row, mark in zip(group, marks, strict=True)]


def _matted(store: Store, remover: Any, group: Sequence[_Job]) -> list[dict[str, Any]]:
    """Run the remover on those that have no matte yet, or on all where they depend on each other; write what is new."""
    there = [_made(store, job) for job in group]
    if getattr(remover, "remembers", False) and None in there:
        there = [None] * len(group)
    missing = [job for job, made in zip(group, there, strict=True) if made is None]
    new = iter(_scored(remover, [_crop(store, job) for job in missing]))
    made = [_write(store, job, *next(new)) if one is None else one for job, one in zip(group, there, strict=True)]
    return [_row(job, one, remover) for job, one in zip(group, made, strict=True)]


def _crop(store: Store, job: _Job) -> PersonCrop:
    return cutting.load(job.row, cutting.decode(store.read(job.row["file"], job.row["sha256"]), job.row["file"]))


def _made(store: Store, job: _Job) -> _Made | None:
    """Give the matte that is there already, unless it was made from something else."""
    if not store.exists(job.file):
        return None
    content = store.read(job.file)
    found, _, score = (masks.read_mark(content) or "").partition(" ")
    return _Made(sha256(content), float(score)) if found == job.mark and score else None


def _scored(remover: Any, crops: Sequence[PersonCrop]) -> list[tuple[Alpha, float]]:
    """Ask the remover how sure it is; of one that cannot say, judge the matte alone."""
    if not crops:
        return []
    if hasattr(remover, "scored"):
        return list(remover.scored(crops))
    alphas = remover.alphas(crops)
    return [(alpha, confidence.score(alpha, crop)) for alpha, crop in zip(alphas, crops, strict=True)]


def _row(job: _Job, made: _Made, remover: Any) -> dict[str, Any]:
    return {
        "crop_id": job.row["crop_id"],
        "remover": plugins.describe(remover)["name"],
        "score": float(made.score),
        "file": job.file,
        "sha256": made.sha256,
    }


def _write(store: Store, job: _Job, alpha: Alpha, score: float) -> _Made:
    if alpha.shape != (job.row["height"], job.row["width"]):
        raise ArrayError(
            f"matte of {job.row['crop_id']}: expected the crop's size {(job.row['height'], job.row['width'])}, "
            f"found {alpha.shape}"
        )
    score = round(score, 4)
    return _Made(store.write(job.file, masks.to_png(alpha, f"{job.mark} {score:.4f}")), score)
