"""Scores → verdicts: which crops are worth labelling, from the stored scores alone. No picture is opened."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.storage.store import Store
from figureground.types import TableRef, Verdict
from tasks import verb

logger = logging.getLogger(__name__)


@verb
def judge(scores: TableRef, catalog: Catalog) -> TableRef:
    """Give every crop one verdict: the first check of the recipe that does not accept it is the reason.

    Parameters
    ----------
    scores
        What `tasks.ingest.measure` left for one source.
    catalog
        Holds the limits.

    Returns
    -------
    TableRef
        The verdicts table, one row a crop. Its facts count the kept (``""``) and the dropped by reason.

    Raises
    ------
    StoreError
        When a crop has no score of a check; measure again.
    """
    store, checks = Store(catalog.storage_root), catalog.checks()
    limits = [plugins.describe(check) for check in checks.values()]
    mark = tables.fingerprint("verdicts", [scores], checks=limits)
    if ref := tables.fresh(store, "verdicts", scores.source_id, mark):
        return ref
    table = tables.read(store, scores)
    rows = zip(table.rows["crop_id"], table.rows["check"], table.rows["value"], strict=True)
    values = {(crop_id, check): value for crop_id, check, value in rows}
    verdicts = [verdict(crop_id, values, checks) for crop_id in table.facts["crops"]]
    facts = Counter(found.reason for found in verdicts)
    logger.info("%s: %d crops kept of %d", scores.source_id, facts[""], len(verdicts))
    written = pd.DataFrame([{"crop_id": v.crop_id, "kept": v.kept, "reason": v.reason} for v in verdicts])
    return tables.write(store, "verdicts", scores.source_id, written, fingerprint=mark, facts={"reasons": facts})


def verdict(crop_id: str, values: Mapping[tuple[str, str], float], checks: Mapping[str, Any]) -> Verdict:
    """Judge one crop.

    Parameters
    ----------
    crop_id
        Which.
    values
        What each check measured, by crop and check.
    checks
        The checks with their limits, in the order in which they may refuse.

    Raises
    ------
    StoreError
        When a check has no value for this crop.
    """
    for name, check in checks.items():
        if (crop_id, name) not in values:
            raise StoreError(f"{crop_id} has no score of the check {name!r}; run `figureground ingest` to measure it")
        if not check.accepts(values[crop_id, name]):
            return Verdict(crop_id, False, name)
    return Verdict(crop_id, True, "")
