"""Crops → measures: every check measures every crop. What is good enough is not asked here, nor who looks like whom."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.checks import LIMITS
from figureground.imaging import crops
from figureground.inference import backends
from figureground.media.restore import restore_evicted
from figureground.parallel import ordered
from figureground.storage.store import Store
from figureground.tables.shards import Work
from figureground.types import PersonCrop, TableRef
from tasks import verb


@verb
def measure(crops: TableRef, catalog: Catalog) -> TableRef:
    """Measure each crop with each check of the recipe.

    Limits are not part of the fingerprint: moving one never measures again, changing a check's code does.

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
        list the ``crops`` that were looked at, which are known even when the recipe has no check.

    Raises
    ------
    StoreError
        When a crop is missing or damaged, or the storage cannot be written to.
    """
    doing = work(crops, catalog)
    if ref := doing.fresh():
        return ref
    records = doing.rows()
    found = chain.from_iterable(doing.found(records))
    rows = pd.DataFrame([row | {"signature": bytes.fromhex(row["signature"])} for row in found])
    facts = {"crops": [record["crop_id"] for record in records]}
    return tables.write(doing.store, "measures", crops.source_id, rows, fingerprint=doing.mark, facts=facts)


def work(crops: TableRef, catalog: Catalog) -> Work:
    """Give what `measure` does as work that can be done in shards: of each crop its rows are found, signatures as text."""
    store, checks = Store(catalog.storage_root), dict(sorted(catalog.checks().items()))
    scenes = catalog.scenes_of(crops.source_id)
    codes = {name: _code(check) for name, check in checks.items()}

    def rows() -> list[dict[Any, Any]]:
        restore_evicted(store, crops.source_id, "crops")
        return tables.read(store, crops).rows.to_dict("records")

    def find(records: Sequence[Mapping[Any, Any]]) -> Iterator[list[dict[str, Any]]]:
        if not checks:
            return iter([[]] * len(records))
        return ordered(lambda record: _rows(record, store, scenes, checks), records, threads=backends.lanes())

    return Work(
        store,
        verb="measure",
        stage="measures",
        source_id=crops.source_id,
        mark=tables.fingerprint("measures", [crops], checks=codes, scenes=scenes),
        together=1,
        rows=rows,
        find=find,
        files=lambda _: (),
    )


def _rows(record: Mapping[Any, Any], store: Store, scenes: tuple[str, ...], checks: Mapping[str, Any]) -> list[dict[str, Any]]:
    image = crops.decode(store.read(record["file"], record["sha256"]), record["file"])
    crop = dataclasses.replace(crops.load(record, image), scenes=scenes)
    return [_row(name, check, crop) for name, check in checks.items()]


def _row(name: str, check: Any, crop: PersonCrop) -> dict[str, Any]:
    signature = check.signature(crop) if hasattr(check, "among") else b""
    return {"crop_id": crop.crop_id, "check": name, "value": float(check.measure(crop)), "signature": signature.hex()}


def _code(check: Any) -> dict[str, Any]:
    """Give what a check's numbers depend on: its code, its weights and its other settings, not its limits."""
    settings = {key: value for key, value in plugins.describe(check).items() if not key.startswith(LIMITS)}
    return {"code": plugins.code(check), **settings}
