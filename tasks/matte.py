"""Kept crops → mattes: what is person in each, as the machine sees it.

Each matte's file carries what it was made from: the crop's hash, the remover's settings and weights, the code's
version. A file with the right mark is never made again, so moving a check's limit back and forth, or being killed
halfway, costs no second run of the network.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd

from figureground import crops as cutting
from figureground import masks, plugins, progress, tables
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
    settings = _settings(remover)
    jobs = (_Job(row, _file(row), tables.fingerprint("matte", [], crop=row["sha256"], remover=settings)) for row in kept)
    seen = ordered(lambda job: _look(store, job), jobs, threads=2)
    done = ordered(lambda job: _keep(store, remover, *job), _matted(remover, seen), threads=2)
    rows = list(progress.track(done, "matte", crops.source_id, len(kept)))
    facts = {"weights": {weights.name: weights.sha256 for weights in plugins.weights(remover)}}
    return tables.write(store, "mattes", crops.source_id, pd.DataFrame(rows), fingerprint=mark, facts=facts)


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


def _look(store: Store, job: _Job) -> tuple[_Job, str | PersonCrop]:
    """Give the hash of the matte that is there already, or else the crop to make it from."""
    if store.exists(job.file) and masks.read_mark(content := store.read(job.file)) == job.mark:
        return job, sha256(content)
    picture = cutting.decode(store.read(job.row["file"], job.row["sha256"]), job.row["file"])
    return job, cutting.load(job.row, picture)


def _matted(remover: Any, seen: Iterable[tuple[_Job, str | PersonCrop]]) -> Iterator[tuple[_Job, str | Alpha]]:
    """Run the remover on batches of those that have no matte yet; decoding and writing go on meanwhile."""
    rest = iter(seen)
    while batch := list(islice(rest, BATCH)):
        missing = [crop for _, crop in batch if isinstance(crop, PersonCrop)]
        alphas = iter(remover.alphas(missing)) if missing else iter(())
        for job, found in batch:
            yield job, found if isinstance(found, str) else next(alphas)


def _keep(store: Store, remover: Any, job: _Job, found: str | Alpha) -> dict[str, str]:
    digest = found if isinstance(found, str) else _write(store, job, found)
    return {
        "crop_id": job.row["crop_id"],
        "remover": plugins.describe(remover)["name"],
        "file": job.file,
        "sha256": digest,
    }


def _write(store: Store, job: _Job, alpha: Alpha) -> str:
    if alpha.shape != (job.row["height"], job.row["width"]):
        raise ArrayError(
            f"matte of {job.row['crop_id']}: expected the crop's size {(job.row['height'], job.row['width'])}, "
            f"found {alpha.shape}"
        )
    return store.write(job.file, masks.to_png(alpha, job.mark))
