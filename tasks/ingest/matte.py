"""Kept crops → mattes: a soft mask of the person in each, made by a network.

Each matte file carries a mark, the hash of what it was made from: the crop, the remover's settings and weights, and the
versions. A file with the right mark is not made again, so moving a check's limit back and forth, or a killed run, costs no
second run of the network. The score stands after the mark.

A recurrent remover gets its crops in fixed groups, and a group is made as a whole or not at all. Otherwise a matte
would depend on which of its neighbours existed already.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.errors import ArrayError
from figureground.imaging import crops as cutting
from figureground.imaging import masks
from figureground.inference import cores
from figureground.mattes import confidence
from figureground.media.restore import restore_evicted
from figureground.parallel import map_ordered
from figureground.removers import RecurrentRemover, Remover, ScoringRemover
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables import CropRow, Fingerprint, MatteRow, VerdictRow, crop_rows, rows
from figureground.tables.shards import ShardedStage
from figureground.types import Alpha, PersonCrop, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the mattes change for the same inputs and remover version."""

GROUP = 8
"""Number of crops in one call of a recurrent remover."""

_AT_A_TIME = 2


@retried_task
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
    stage = sharded_stage(crops, verdicts, catalog)
    if ref := stage.fresh():
        return ref
    rows = list(stage.process_all(stage.read_inputs()))
    facts: dict[str, Any] = {"weights": {weights.name: weights.sha256 for weights in plugins.weights(catalog.remover())}}
    facts["needs_person"] = sum(confidence.needs_review(row.score) for row in rows)
    return tables.write_rows(stage.store, "mattes", crops.source_id, rows, fingerprint=stage.fingerprint, facts=facts)


def sharded_stage(crops: TableRef, verdicts: TableRef, catalog: Catalog) -> ShardedStage[CropRow, MatteRow]:
    """Describe what `matte` does so that it can run in shards: each kept crop gives its row."""
    store, remover = Store(catalog.storage_root), catalog.remover()

    def read_inputs() -> list[CropRow]:
        restore_evicted(store, crops.source_id, "crops")
        return _kept(store, crops, verdicts)

    def process(kept: Sequence[CropRow]) -> Iterator[MatteRow]:
        groups, threads = _groups(kept, remover), cores.parallel_calls()
        done = map_ordered(lambda group: _matte_group(store, remover, group), groups, threads=threads)
        return chain.from_iterable(done)

    return ShardedStage(
        store,
        task="matte",
        stage="mattes",
        source_id=crops.source_id,
        fingerprint=tables.fingerprint("mattes", [crops, verdicts], version=VERSION, remover=plugins.identity(remover)),
        batch_size=_group_size(remover),
        read_inputs=read_inputs,
        process=process,
        files=lambda row: [(row.file, row.sha256)],
        to_json=rows.to_json,
        from_json=lambda values: rows.from_json(MatteRow, values),
    )


class _Made(NamedTuple):
    """A matte file: its hash and its score."""

    sha256: str
    score: float


class _Job(NamedTuple):
    row: CropRow
    file: str
    mark: Fingerprint


def _kept(store: Store, crops: TableRef, verdicts: TableRef) -> list[CropRow]:
    kept = {row.crop_id for row in tables.iterate_rows(store, verdicts, VerdictRow) if row.kept}
    return [row for row in tables.iterate_rows(store, crops, CropRow) if row.crop_id in kept]


def _file(row: CropRow) -> str:
    return f"mattes/{row.source_id}/{row.crop_id}.png"


def _is_recurrent(remover: Remover) -> bool:
    return isinstance(remover, RecurrentRemover) and remover.recurrent


def _group_size(remover: Remover) -> int:
    return GROUP if _is_recurrent(remover) else _AT_A_TIME


def _groups(kept: Sequence[CropRow], remover: Remover) -> Iterator[list[_Job]]:
    """Give the crops of one call; with a recurrent remover a matte's mark depends on its whole group."""
    identity, recurrent, size = plugins.identity(remover), _is_recurrent(remover), _group_size(remover)
    for start in range(0, len(kept), size):
        group = kept[start : start + size]
        hashes = [row.sha256 for row in group] if recurrent else []
        marks = (
            tables.fingerprint("matte", [], version=VERSION, crop=[row.sha256, *hashes], remover=identity) for row in group
        )
        yield [_Job(row, _file(row), mark) for row, mark in zip(group, marks, strict=True)]


def _matte_group(store: Store, remover: Remover, group: Sequence[_Job]) -> list[MatteRow]:
    """Run the remover on crops without a matte, or on the whole group where they depend on each other; write the new mattes."""
    existing = [_existing(store, job) for job in group]
    if _is_recurrent(remover) and None in existing:
        existing = [None] * len(group)
    missing = [job for job, made in zip(group, existing, strict=True) if made is None]
    new = iter(_scored(remover, [_crop(store, job) for job in missing]))
    mattes = [made or _write(store, job, *next(new)) for job, made in zip(group, existing, strict=True)]
    return [_row(job, made, remover) for job, made in zip(group, mattes, strict=True)]


def _crop(store: Store, job: _Job) -> PersonCrop:
    return crop_rows.to_crop(job.row, cutting.decode(store.read(job.row.file, job.row.sha256), job.row.file))


def _existing(store: Store, job: _Job) -> _Made | None:
    """Read the hash and the score of an existing matte, unless it was made from something else."""
    if not store.exists(job.file):
        return None
    content = store.read(job.file)
    mark, _, score = (masks.read_mark(content) or "").partition(" ")
    return _Made(sha256(content), float(score)) if score and job.mark.matches(mark) else None


def _scored(remover: Remover, crops: Sequence[PersonCrop]) -> list[tuple[Alpha, float]]:
    """Run the remover; the confidence is its own where it gives one, or else computed from the matte."""
    if not crops:
        return []
    if isinstance(remover, ScoringRemover):
        return list(remover.estimate_with_confidence(crops))
    alphas = remover.estimate_alphas(crops)
    return [(alpha, confidence.measure_confidence(alpha, crop)) for alpha, crop in zip(alphas, crops, strict=True)]


def _row(job: _Job, made: _Made, remover: Remover) -> MatteRow:
    name = plugins.describe(remover)["name"]
    return MatteRow(crop_id=job.row.crop_id, remover=name, score=made.score, file=job.file, sha256=made.sha256)


def _write(store: Store, job: _Job, alpha: Alpha, score: float) -> _Made:
    size = (job.row.height, job.row.width)
    if alpha.shape != size:
        raise ArrayError(f"matte of {job.row.crop_id}: expected the crop's size {size}, found {alpha.shape}")
    score = round(score, 4)
    return _Made(store.write(job.file, masks.to_png(alpha, f"{job.mark} {score:.4f}")), score)
