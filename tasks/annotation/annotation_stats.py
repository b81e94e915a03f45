"""The page that says whether pre-annotation pays."""

from figureground.catalog import Catalog, PreannotationGateEntry
from figureground.reports import annotation_statistics as meters
from figureground.storage.store import Store
from tasks.annotation.annotation_records import deeds

NAME = "reports/annotation.meter.html"  # no source's name has a dot


def meter(catalog: Catalog) -> tuple[str, meters.Page]:
    """Write the page of the meter from the tables of all sources.

    Parameters
    ----------
    catalog
        Gives the storage, and what ``preannotation_gate`` asks for.

    Returns
    -------
    str, Page
        ``reports/annotation.meter.html`` in the storage, and what it shows.

    Raises
    ------
    StoreError
        When a table is damaged.
    """
    store, entry = Store(catalog.storage_root), catalog.label_studio.preannotation_gate
    asked = entry or PreannotationGateEntry()
    page = meters.page(list(deeds(store)), gated=entry is not None, labels_at_least=asked.labels_at_least)
    content = meters.html(page).encode()
    if not store.exists(NAME) or store.read(NAME) != content:
        store.write(NAME, content)
    return store.place(NAME), page
