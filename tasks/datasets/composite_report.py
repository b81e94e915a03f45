"""The page of a composition: what went in, what was refused and why, and contact sheets of its pairs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import ReleaseError
from figureground.imaging import codecs, crops, drawing
from figureground.parallel import map_ordered
from figureground.reports import contact_sheet, source_report
from figureground.reports.source_report import Figure, Group
from figureground.storage.store import Store
from figureground.tables import BackgroundRow, CompositeRow, PersonRow
from figureground.types import Image, Release, TableRef
from tasks import retried_task

PAIRS_AT_MOST = 1000


@retried_task
def write_composite_report(people: TableRef, backgrounds: TableRef, release: Release, catalog: Catalog) -> str:
    """Write the page of a composition.

    Parameters
    ----------
    people, backgrounds
        What could go in, see `tasks.datasets.load_cutouts` and `tasks.datasets.filter_backgrounds`.
    release
        The finished folder.
    catalog
        Gives the storage.

    Returns
    -------
    str
        Its name in the storage, ``reports/<folder>.html``. It is left untouched when nothing it tells of has changed.

    Raises
    ------
    ReleaseError
        When a pair cannot be read.
    """
    store, name = Store(catalog.storage_root), f"reports/{release.name}.html"
    table = tables.find(store, "composites", catalog.composition().note)
    if table is None:
        raise ReleaseError(f"{release.name} has no table composites; run `figureground compose` again")
    inputs = [people, backgrounds, table]
    mark = tables.fingerprint("contact", inputs, version=source_report.VERSION, digest=release.digest).digest
    if store.exists(name) and source_report.seal(store.read(name)) == mark:
        return name
    rows, lacking = tables.read_rows(store, table, CompositeRow), tables.read_facts(store, table)["lacking"]
    inputs_of: dict[str, Sequence[PersonRow | BackgroundRow]] = {
        "people": tables.read_rows(store, people, PersonRow),
        "backgrounds": tables.read_rows(store, backgrounds, BackgroundRow),
    }
    facts = [("pictures", ", ".join(f"{count} in {split}" for split, count in sorted(release.counts.items())))]
    facts += [(stage, _count_usable(input_rows)) for stage, input_rows in inputs_of.items()]
    facts += [("real pairs", str(sum(not row.seed for row in rows))), ("digest", release.digest)]
    refused = [
        {"title": stage, "reasons": reasons} for stage, input_rows in inputs_of.items() if (reasons := _reasons(input_rows))
    ]
    sheets = tuple(_sheets(rows, Path(release.folder)))
    title = f"{release.name}: {len(rows)} pairs"
    page = source_report.rendered(
        "composition.html", title=title, warnings=lacking, facts=facts, refused=refused, sheets=sheets
    )
    store.write(name, source_report.sealed(page, mark))
    return name


def _count_usable(rows: Sequence[PersonRow | BackgroundRow]) -> str:
    usable = sum(not row.reason for row in rows)
    return f"{usable} of {len(rows)} usable, of {len({row.origin for row in rows})} sources"


def _reasons(rows: Sequence[PersonRow | BackgroundRow]) -> list[tuple[str, str]]:
    """Give each reason with how many it refused, and the first of them in full."""
    counted = Counter(row.reason.partition(":")[0] for row in rows if row.reason)
    first = {row.reason.partition(":")[0]: row.reason for row in reversed(rows) if row.reason}
    return [(f"{reason}: {count}", f"such as {first[reason]}") for reason, count in sorted(counted.items())]


def _sheets(rows: Sequence[CompositeRow], folder: Path) -> Iterator[Group]:
    for split in ("train", "val"):
        own = [row for row in rows if row.split == split]
        shown = source_report.spread(own, PAIRS_AT_MOST)
        tiles = map_ordered(lambda row: _tile(row, folder), shown)
        figures = tuple(_figure(sheet, split) for sheet in contact_sheet.sheets(tiles))
        if figures:
            yield Group(split, f"{len(shown)} of {len(own)} pairs.", figures, len(figures))


def _figure(sheet: Image, split: str) -> Figure:
    height, width = sheet.shape[:2]
    return Figure(drawing.data_uri(sheet), width, height, f"Pairs of {split}: each picture beside its truth", "")


def _tile(row: CompositeRow, folder: Path) -> Image:
    image = crops.decode((folder / row.image).read_bytes(), row.image)
    truth = codecs.decode_unchanged((folder / row.truth).read_bytes())
    return contact_sheet.tile(image, np.asarray(truth, np.uint8))
