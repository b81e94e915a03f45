"""Fetches and samples sources as the flow does, without Prefect: each source ends by itself."""

from pathlib import Path
from typing import Any, NamedTuple

from figureground import tables
from figureground.catalog import Catalog
from figureground.storage.store import Store
from flows.ingest import expand_sources
from flows.outcomes import try_source
from tasks.ingest.fetch import fetch
from tasks.ingest.sample import sample

RECIPE = {"sample": {"every_frames": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}


class End(NamedTuple):
    """How a source ended: its frames that were read, the reasons of those that were not, its facts, and its error."""

    frames: list[tables.FrameRow]
    reasons: list[str]
    facts: dict[str, Any]
    error: str = ""


def sample_all(folder: Path, sources: dict[str, dict[str, Any]]) -> dict[str, End]:
    """Fetch and sample sources of a catalog in a folder; an entry lacks only its licence."""
    sources = {name: {"license": "CC0-1.0", **entry} for name, entry in sources.items()}
    catalog = Catalog.model_validate({"folder": folder, "storage": "data", "sources": sources, "recipe": RECIPE})
    store = Store(catalog.storage_root)
    expanded, refused = expand_sources(catalog, None)
    ends = {outcome.source_id: End([], [], {}, outcome.error) for outcome in refused}
    for source in expanded:
        ref, failed = try_source(source.source_id, lambda source=source: sample.fn(source, fetch.fn(source, catalog), catalog))  # type: ignore[misc]
        if ref is None:
            ends[source.source_id] = End([], [], {}, failed[0].error)
            continue
        rows = tables.read_rows(store, ref, tables.FrameRow)
        reasons = [row.reason for row in rows if row.reason]
        ends[source.source_id] = End([row for row in rows if not row.reason], reasons, tables.read_facts(store, ref))
    return ends
