"""Measures → scores: the checks that need a crop's neighbours are asked now, when every source has been measured.

No picture is opened: what such a check needs of a crop was stored when it was measured. The crops of all the catalog's
sources that have been measured take part, so the scores do not depend on the order in which sources come, and a source that
is added or forgotten later counts from the next time on.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.errors import CatalogError
from figureground.storage.store import Store
from figureground.types import TableRef
from tasks import verb


@verb
def deduplicate(measures: TableRef, catalog: Catalog) -> TableRef:
    """Complete a source's scores with the checks that compare crops with each other.

    A crop that another check of the recipe refuses never stands in the way of one that all accept. So this follows the
    limits, and `figureground judge` does it too.

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
    comparing = {name: check for name, check in checks.items() if hasattr(check, "among")}
    own = tables.read(store, measures)
    rows = own.rows[["crop_id", "check", "value"]].copy()
    if comparing:
        found = _compared(store, [measures, *_others(store, measures.source_id, catalog)], checks, comparing)
        pairs = zip(rows["crop_id"], rows["check"], rows["value"], strict=True)
        rows["value"] = [found.get(pair[:2], pair[2]) for pair in pairs]
    mark = tables.fingerprint("scores", [measures], compared=_digest(rows["value"]))
    if ref := tables.fresh(store, "scores", measures.source_id, mark):
        return ref
    return tables.write(store, "scores", measures.source_id, rows, fingerprint=mark, facts=own.facts)


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


_lock = threading.Lock()
_last: tuple[str, dict[tuple[str, str], float]] = ("", {})


def _compared(
    store: Store, refs: Sequence[TableRef], checks: Mapping[str, Any], comparing: Mapping[str, Any]
) -> dict[tuple[str, str], float]:
    """Give the comparing checks' values of all sources' crops. Each source asks, and one answer serves them all."""
    global _last
    refs = sorted(refs, key=lambda ref: ref.source_id)
    mark = tables.fingerprint("compared", refs, checks=[plugins.describe(check) for check in checks.values()])
    with _lock:
        if _last[0] != mark:
            rows = pd.concat([tables.read(store, ref).rows for ref in refs], ignore_index=True)
            _last = (mark, dict(_values(rows, checks, comparing)))
        return _last[1]


def _values(
    rows: pd.DataFrame, checks: Mapping[str, Any], comparing: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, str], float]]:
    fit = _fit(rows, {name: check for name, check in checks.items() if name not in comparing})
    for name, check in comparing.items():
        mine = rows[rows["check"] == name].sort_values("crop_id")
        ids = list(mine["crop_id"])
        values = check.among(list(mine["signature"]), [crop_id in fit for crop_id in ids])
        yield from (((crop_id, name), float(value)) for crop_id, value in zip(ids, values, strict=True))


def _fit(rows: pd.DataFrame, checks: Mapping[str, Any]) -> frozenset[str]:
    """Give the crops that no check refuses which looks at one crop alone."""
    triples = zip(rows["crop_id"], rows["check"], rows["value"], strict=True)
    refused = {crop_id for crop_id, check, value in triples if check in checks and not checks[check].accepts(value)}
    return frozenset(set(rows["crop_id"]) - refused)


def _digest(values: pd.Series) -> str:
    return hashlib.sha256(values.to_numpy("<f8").tobytes()).hexdigest()
