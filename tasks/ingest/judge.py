"""Scores → verdicts: which crops are worth labelling, from the stored scores alone. No picture is opened."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.storage.store import Store
from figureground.tables import ScoreRow, VerdictRow
from figureground.types import TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the verdicts change for the same inputs."""

logger = logging.getLogger(__name__)


@retried_task
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
    identities = [plugins.identity(check) for check in checks.values()]
    mark = tables.fingerprint("verdicts", [scores], version=VERSION, checks=identities)
    if ref := tables.fresh(store, "verdicts", scores.source_id, mark):
        return ref
    values = {(row.crop_id, row.check): row.value for row in tables.read_rows(store, scores, ScoreRow)}
    verdicts = [verdict(crop_id, values, checks) for crop_id in tables.read_facts(store, scores)["crops"]]
    reasons = Counter(row.reason for row in verdicts)
    logger.info("%s: %d crops kept of %d", scores.source_id, reasons[""], len(verdicts))
    return tables.write_rows(store, "verdicts", scores.source_id, verdicts, fingerprint=mark, facts={"reasons": reasons})


def verdict(crop_id: str, values: Mapping[tuple[str, str], float], checks: Mapping[str, Any]) -> VerdictRow:
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
            return VerdictRow(crop_id=crop_id, kept=False, reason=name)
    return VerdictRow(crop_id=crop_id, kept=True, reason="")
