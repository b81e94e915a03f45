"""Kept crops → mattes: what is person in each, as the machine sees it.

Each matte's file carries what it was made from: the crop's hash, the remover's settings and weights, the code's
version. A file with the right mark is never made again, so moving a check's limit back and forth, or being killed
halfway, costs no second run of the network. Behind the mark stands how sure the remover was.

A remover that ``remembers`` sees its crops in fixed groups, and a group is made whole or not at all: else a matte would
depend on which of its neighbours were there already.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd

from figureground import crops as cutting
from figureground import masks, plugins, progress, sureness, tables
from figureground.catalog import Catalog
from figureground.errors import ArrayError
from figureground.parallel import ordered
from figureground.store import Store, sha256
from figureground.types import Alpha, PersonCrop, TableRef
from tasks import verb

BATCH = 8


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
        the ``weights`` by hash.

    Raises
    ------
    AssetError
        When the remover's weights are not in the cache or not the pinned ones.
    StoreError
        When a crop's picture is missing or damaged, or a matte cannot be written.
    """
    store, remover = Store(catalog.storage_root), catalog.remover()
    mark = tables.fingerprint("mattes", [crops, verdicts], remover=_settings(remover))
    if ref := tables.fresh(store, "mattes", crops.source_id, mark):
        return ref
    kept = _kept(store, crops, verdicts)
    seen = ordered(lambda job: _look(store, job), _jobs(kept, remover), threads=2)
    done = ordered(lambda job: _keep(store, remover, *job), _matted(remover, seen, store), threads=2)
    rows = list(progress.track(done, "matte", crops.source_id, len(kept)))
    facts = {"weights": {weights.name: weights.sha256 for weights in plugins.weights(remover)}}
    return tables.write(store, "mattes", crops.source_id, pd.DataFrame(rows), fingerprint=mark, facts=facts)


class _Made(NamedTuple):
    """A matte that is there already: its file's hash and its score."""

    sha256: str
    score: float


class _Job(NamedTuple):
    row: Mapping[str, Any]
    file: str
    mark: str


def _kept(store: Store, crops: TableRef, verdicts: TableRef) -> list[Mapping[str, Any]]:
    judged = tables.read(store, verdicts).rows
    wanted = set(judged.loc[judged["kept"].astype(bool), "crop_id"])
    return [row for row in tables.read(store, crops).rows.to_dict("records") if row["crop_id"] in wanted]


def _file(row: Mapping[str, Any]) -> str:
    return f"mattes/{row['source_id']}/{row['crop_id']}.png"


def _settings(remover: Any) -> dict[str, Any]:
    """Give what the mattes depend on besides the crops: settings, weights, and the text of the plug-in's file."""
    text = inspect.getsource(inspect.getmodule(type(remover)) or type(remover))
    return {**plugins.describe(remover), "code": sha256(text.encode())}


def _jobs(kept: Sequence[Mapping[str, Any]], remover: Any) -> Iterator[_Job]:
    settings, size = _settings(remover), BATCH if getattr(remover, "remembers", False) else 1
    for start in range(0, len(kept), size):
        group = [row["sha256"] for row in kept[start : start + size]]
        for row in kept[start : start + size]:
            crop = [row["sha256"], *(group if size > 1 else [])]
            yield _Job(row, _file(row), tables.fingerprint("matte", [], crop=crop, remover=settings))


def _look(store: Store, job: _Job) -> tuple[_Job, _Made | PersonCrop]:
    """Give the hash of the matte that is there already, or else the crop to make it from."""
    if store.exists(job.file) and (made := _made(store.read(job.file), job.mark)):
        return job, made
    return job, _crop(store, job)


def _crop(store: Store, job: _Job) -> PersonCrop:
    return cutting.load(job.row, cutting.decode(store.read(job.row["file"], job.row["sha256"]), job.row["file"]))


def _made(content: bytes, mark: str) -> _Made | None:
    found, _, score = (masks.read_mark(content) or "").partition(" ")
    return _Made(sha256(content), float(score)) if found == mark and score else None


def _matted(
    remover: Any, seen: Iterable[tuple[_Job, _Made | PersonCrop]], store: Store
) -> Iterator[tuple[_Job, _Made | tuple[Alpha, float]]]:
    """Run the remover on batches of those that have no matte yet; decoding and writing go on meanwhile."""
    rest = iter(seen)
    while batch := list(islice(rest, BATCH)):
        missing = [crop for _, crop in batch if isinstance(crop, PersonCrop)]
        if missing and getattr(remover, "remembers", False):
            batch = [(job, found if isinstance(found, PersonCrop) else _crop(store, job)) for job, found in batch]
            missing = [crop for _, crop in batch if isinstance(crop, PersonCrop)]
        mattes = iter(_scored(remover, missing))
        for job, found in batch:
            yield job, found if isinstance(found, _Made) else next(mattes)


def _scored(remover: Any, crops: Sequence[PersonCrop]) -> list[tuple[Alpha, float]]:
    """Ask the remover how sure it is; of one that cannot say, judge the matte alone."""
    if not crops:
        return []
    if hasattr(remover, "scored"):
        return list(remover.scored(crops))
    alphas = remover.alphas(crops)
    return [(alpha, sureness.score(alpha, crop)) for alpha, crop in zip(alphas, crops, strict=True)]


def _keep(store: Store, remover: Any, job: _Job, found: _Made | tuple[Alpha, float]) -> dict[str, Any]:
    made = found if isinstance(found, _Made) else _write(store, job, *found)
    return {
        "crop_id": job.row["crop_id"],
        "remover": plugins.describe(remover)["name"],
        "score": made.score,
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
