"""The page that says whether pre-annotation saves time."""

from figureground.annotation.annotation_records import read_annotation_records
from figureground.annotation.statistics import AnnotationStatistics, compute_statistics
from figureground.catalog import Catalog, PreannotationGateEntry
from figureground.reports import annotation_statistics
from figureground.storage.store import Store

PAGE = "reports/annotation.statistics.html"  # the dot keeps it apart from a source's report: no source's name has one


def report_annotation_statistics(catalog: Catalog) -> tuple[str, AnnotationStatistics]:
    """Compute the annotation statistics of all sources and write their page.

    Parameters
    ----------
    catalog
        Gives the storage, and the settings of the ``preannotation_gate``.

    Returns
    -------
    str, AnnotationStatistics
        Where ``reports/annotation.statistics.html`` is, and what it shows.

    Raises
    ------
    StoreError
        When a table is damaged.
    """
    store, entry = Store(catalog.storage_root), catalog.label_studio.preannotation_gate
    settings = entry or PreannotationGateEntry()
    records = list(read_annotation_records(store))
    statistics = compute_statistics(records, gated=entry is not None, labels_at_least=settings.labels_at_least)
    content = annotation_statistics.render(statistics).encode()
    if not store.exists(PAGE) or store.read(PAGE) != content:
        store.write(PAGE, content)
    return store.location(PAGE), statistics
