"""The pages of their version: a source's page from its tables, line by line and image by image."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from figureground import tables
from figureground.catalog import Catalog
from figureground.reports import source_report
from figureground.storage.store import Store
from tasks.ingest import report
from tests.contracts.goldens import GoldenCheck, page_content


def test_a_source_page_is_that_of_its_version(
    labelled: Callable[..., Catalog], tmp_path: Path, golden: GoldenCheck
) -> None:
    """The images are JPEGs, which another encoder writes otherwise: numbers within a fiftieth."""
    catalog = labelled(tmp_path, {"park": ["keep", "keep", "blurred"]}, scenes=["park"])
    store = Store(catalog.storage_root)
    crops = [f"park-{15 * number:06d}-00" for number in range(3)]
    verdicts = [{"crop_id": crop_id, "kept": crop_id != crops[1], "reason": ""} for crop_id in crops]
    verdicts[1]["reason"] = "size"
    tables.write(store, "verdicts", "park", pd.DataFrame(verdicts), fingerprint="made")
    page = store.read(report.report.fn("park", catalog)).decode()
    *lines, mark = page.splitlines()
    assert source_report.seal(page.encode()) in mark
    golden("stages.figureground.reports.source_report", source_report.VERSION, page_content("\n".join(lines)), tolerance=0.02)
