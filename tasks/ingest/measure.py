"""Crops → measures: every check measures every crop. Limits and near-duplicates are left to later stages."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.checks import LIMITS, Check, ComparingCheck
from figureground.imaging import crops
from figureground.inference import cores
from figureground.media.restore import restore_evicted
from figureground.parallel import map_ordered
from figureground.storage.store import Store
from figureground.tables import CropRow, MeasureRow, crop_rows, rows
from figureground.tables.shards import ShardedStage
from figureground.types import PersonCrop, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the measures change for the same inputs and check versions."""


@retried_task
def measure(crops: TableRef, catalog: Catalog) -> TableRef:
    """Measure each crop with each check of the recipe.

    Limits are not part of the fingerprint: moving one never measures again, raising a check's ``VERSION`` does.

    Parameters
    ----------
    crops
        The crops of one source; each file's hash is checked before it is decoded.
    catalog
        Names the checks.

    Returns
    -------
    TableRef
        The measures table: one row a crop and check, crops in their table's order, checks by name; for a check that compares
        crops its value is that of a crop alone, and a signature is what `tasks.ingest.deduplicate` will need of it. Its facts
        list the ``crops`` that were measured, which are known even when the recipe has no check.

    Raises
    ------
    StoreError
        When a crop is missing or damaged, or the storage cannot be written to.
    """
    stage = sharded_stage(crops, catalog)
    if ref := stage.fresh():
        return ref
    inputs = stage.read_inputs()
    rows = chain.from_iterable(stage.process_all(inputs))
    facts = {"crops": [row.crop_id for row in inputs]}
    return tables.write_rows(stage.store, "measures", crops.source_id, rows, fingerprint=stage.fingerprint, facts=facts)


def sharded_stage(crops: TableRef, catalog: Catalog) -> ShardedStage[CropRow, list[MeasureRow]]:
    """Describe what `measure` does so that it can run in shards: each crop gives its rows."""
    store, checks = Store(catalog.storage_root), dict(sorted(catalog.checks().items()))
    scenes = catalog.scenes_of(crops.source_id)
    identities = {name: plugins.identity(check, leave_out=LIMITS) for name, check in checks.items()}

    def read_inputs() -> list[CropRow]:
        restore_evicted(store, crops.source_id, "crops")
        return tables.read_rows(store, crops, CropRow)

    def process(rows: Sequence[CropRow]) -> Iterable[list[MeasureRow]]:
        if not checks:
            return [[]] * len(rows)
        return map_ordered(lambda row: _measure_crop(row, store, scenes, checks), rows, threads=cores.parallel_calls())

    return ShardedStage(
        store,
        task="measure",
        stage="measures",
        source_id=crops.source_id,
        fingerprint=tables.fingerprint("measures", [crops], version=VERSION, checks=identities, scenes=scenes),
        batch_size=1,
        read_inputs=read_inputs,
        process=process,
        files=lambda _: (),
        to_json=lambda measures: [rows.to_json(row) for row in measures],
        from_json=lambda values: [rows.from_json(MeasureRow, value) for value in values],
    )


def _measure_crop(row: CropRow, store: Store, scenes: tuple[str, ...], checks: Mapping[str, Check]) -> list[MeasureRow]:
    image = crops.decode(store.read(row.file, row.sha256), row.file)
    crop = dataclasses.replace(crop_rows.to_crop(row, image), scenes=scenes)
    return [_measure(name, check, crop) for name, check in checks.items()]


def _measure(name: str, check: Check, crop: PersonCrop) -> MeasureRow:
    signature = check.signature(crop) if isinstance(check, ComparingCheck) else b""
    return MeasureRow(crop_id=crop.crop_id, check=name, value=float(check.measure(crop)), signature=signature)
