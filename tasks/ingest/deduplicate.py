"""Measures → scores: the checks that compare crops run now, when every source has been measured.

No image is opened: what such a check needs of a crop was stored when it was measured. The measured crops of all sources of the
catalog take part, so the scores do not depend on the order of the sources, and a source that is added or deleted later
counts from the next run on.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.checks import Check, ComparingCheck
from figureground.errors import CatalogError
from figureground.memo import Memo
from figureground.storage.store import Store
from figureground.tables import MeasureRow, ScoreRow
from figureground.types import TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the scores change for the same inputs."""

_COMPARED_CROPS = Memo(only_last=True)
"""The last comparison of all crops. It belongs to the process: each source's task needs all of it, and tasks of a process
share no argument that is computed once. Its key names all tables, checks and limits that it depends on."""


@retried_task
def deduplicate(measures: TableRef, catalog: Catalog) -> TableRef:
    """Complete a source's scores with the checks that compare crops with each other.

    A crop that another check of the recipe rejects never displaces a crop that all checks accept. So the scores depend on the
    limits, and `figureground judge` runs this stage too.

    Parameters
    ----------
    measures
        What `tasks.ingest.measure` left for one source.
    catalog
        Names the checks, their limits, and the sources that take part.

    Returns
    -------
    TableRef
        The scores table: one row a crop and check, in the measures' order, and their facts.

    Raises
    ------
    StoreError
        When a table is damaged, or the storage cannot be written to.
    """
    store, checks = Store(catalog.storage_root), catalog.checks()
    comparing = {name: check for name, check in checks.items() if isinstance(check, ComparingCheck)}
    values: Mapping[tuple[str, str], float] = {}
    if comparing:
        values = _compare_crops(store, [measures, *_others(store, measures.source_id, catalog)], checks, comparing)
    rows = [
        ScoreRow(crop_id=row.crop_id, check=row.check, value=values.get((row.crop_id, row.check), row.value))
        for row in tables.iterate_rows(store, measures, MeasureRow)
    ]
    mark = tables.fingerprint("scores", [measures], version=VERSION, compared=_digest([row.value for row in rows]))
    if ref := tables.fresh(store, "scores", measures.source_id, mark):
        return ref
    facts = tables.read_facts(store, measures)
    return tables.write_rows(store, "scores", measures.source_id, rows, fingerprint=mark, facts=facts)


def _others(store: Store, source_id: str, catalog: Catalog) -> Iterator[TableRef]:
    """Find the measures of every other source that the catalog still names."""
    for name in tables.sources(store, "measures"):
        if name != source_id and _named(name, catalog) and (ref := tables.find(store, "measures", name)):
            yield ref


def _named(source_id: str, catalog: Catalog) -> bool:
    try:
        catalog.scenes_of(source_id)
    except CatalogError:
        return False
    return True


def _compare_crops(
    store: Store, refs: Sequence[TableRef], checks: Mapping[str, Check], comparing: Mapping[str, ComparingCheck]
) -> dict[tuple[str, str], float]:
    """Give the comparing checks' values of the crops of all sources."""
    refs = sorted(refs, key=lambda ref: ref.source_id)
    identities = [plugins.identity(check) for check in checks.values()]
    mark = tables.fingerprint("compared", refs, version=VERSION, checks=identities).digest

    def compare() -> dict[tuple[str, str], float]:
        rows = [row for ref in refs for row in tables.iterate_rows(store, ref, MeasureRow)]
        return dict(_values(rows, checks, comparing))

    return _COMPARED_CROPS.get(mark, compare)


def _values(
    rows: Sequence[MeasureRow], checks: Mapping[str, Check], comparing: Mapping[str, ComparingCheck]
) -> Iterator[tuple[tuple[str, str], float]]:
    fit = _fit(rows, {name: check for name, check in checks.items() if name not in comparing})
    for name, check in comparing.items():
        measured = sorted((row for row in rows if row.check == name), key=lambda row: row.crop_id)
        values = check.among([row.signature for row in measured], [row.crop_id in fit for row in measured])
        yield from (((row.crop_id, name), float(value)) for row, value in zip(measured, values, strict=True))


def _fit(rows: Sequence[MeasureRow], checks: Mapping[str, Check]) -> frozenset[str]:
    """Give the crops that every check accepts which measures one crop alone."""
    rejected = {row.crop_id for row in rows if row.check in checks and not checks[row.check].accepts(row.value)}
    return frozenset({row.crop_id for row in rows} - rejected)


def _digest(values: Sequence[float]) -> str:
    return hashlib.sha256(np.asarray(values, "<f8").tobytes()).hexdigest()
