"""The tables of a source → its page; the tables of all sources and a release → the page and the poster of the pipeline."""

from collections.abc import Iterable
from pathlib import Path

from figureground import tables
from figureground.catalog import Catalog
from figureground.datasets import manifest
from figureground.datasets.manifest import Manifest
from figureground.errors import ReleaseError, StoreError
from figureground.imaging import drawing
from figureground.media.restore import restore_evicted
from figureground.reports import pipeline_page, poster, source_report
from figureground.reports.source_summary import ON_SOURCE_PAGE, summarize
from figureground.reports.source_tables import ALL_STAGES, PAGE_STAGES, SourceTables, describe_limit, find_tables
from figureground.storage.store import Store
from figureground.types import Sample, TableRef
from tasks import retried_task

_POSTER_STAGES = ("frames", "crops", "verdicts", "mattes", "labels")


@retried_task
def report(source_id: str, catalog: Catalog) -> str:
    """Write a source's page from the tables that are there.

    Parameters
    ----------
    source_id
        The source.
    catalog
        Gives the storage and the checks' limits.

    Returns
    -------
    str
        Its name in the storage, ``reports/<source>.html``. It is left untouched when nothing that it shows has changed.

    Raises
    ------
    StoreError
        When the source has no table yet, or an image is missing or damaged.
    """
    store, name = Store(catalog.storage_root), f"reports/{source_id}.html"
    refs = find_tables(store, source_id, PAGE_STAGES)
    if not refs:
        raise StoreError(f"{source_id} has no tables in {catalog.storage_root}; run `figureground ingest {source_id}`")
    limits = {key: describe_limit(check) for key, check in catalog.checks().items()}
    mark = tables.fingerprint("report", list(refs.values()), version=source_report.VERSION, limits=limits).digest
    if store.exists(name) and source_report.seal(store.read(name)) == mark:
        return name
    page = source_report.source_page(summarize(_read(store, source_id, refs, catalog), ON_SOURCE_PAGE))
    store.write(name, source_report.sealed(page, mark))
    return name


def write_pipeline_page(catalog: Catalog, release_folder: Path) -> Path:
    """Write the page of the whole pipeline: every source with crops, from its frames to the release.

    Parameters
    ----------
    catalog
        Gives the storage and the checks' limits.
    release_folder
        A finished release.

    Returns
    -------
    Path
        ``reports/pipeline.html`` in the storage.

    Raises
    ------
    ReleaseError
        When the folder has no readable manifest.
    StoreError
        When an image is missing or damaged.
    """
    store, sealed = Store(catalog.storage_root), _read_manifest(release_folder)
    names = tables.sources(store, "crops")
    sources = [_read(store, name, find_tables(store, name, ALL_STAGES), catalog) for name in names]
    samples = _read_samples(catalog, release_folder, pipeline_page.choose_sample_ids(sealed))
    content = pipeline_page.describe_pipeline(sources, sealed, release_folder, samples)
    store.write("reports/pipeline.html", source_report.pipeline_page(content).encode())
    return store.path("reports/pipeline.html")


def write_poster(catalog: Catalog, release_folder: Path, source_id: str) -> Path:
    """Write one image of the whole pipeline for one source, for a README.

    Parameters
    ----------
    catalog
        Gives the storage and the checks' limits.
    release_folder
        A finished release with samples of this source.
    source_id
        A source whose licence lets its images be shown.

    Returns
    -------
    Path
        ``reports/pipeline-<source>.png`` in the storage, 1600×900.

    Raises
    ------
    ReleaseError
        When the folder has no readable manifest or no sample of this source.
    StoreError
        When the source has no mattes or labels yet, or an image is missing or damaged.
    """
    store, sealed = Store(catalog.storage_root), _read_manifest(release_folder)
    source = _read(store, source_id, find_tables(store, source_id, ALL_STAGES), catalog)
    if missing := [stage for stage in _POSTER_STAGES if stage not in source.stages]:
        raise StoreError(f"{source_id} has no table {', '.join(missing)}; run `figureground demo`")
    if source_id not in {sample.source for sample in sealed.samples.values()}:
        raise ReleaseError(f"{release_folder} holds no picture of {source_id}; it has {', '.join(sealed.sources)}")
    samples = _read_samples(catalog, release_folder, pipeline_page.choose_poster_sample_ids(sealed, source_id))
    panels = pipeline_page.poster_panels(source, release_folder, samples)
    name = f"reports/pipeline-{source_id}.png"
    store.write(name, drawing.png(poster.drawn(panels)))
    return store.path(name)


def _read(store: Store, source_id: str, refs: dict[str, TableRef], catalog: Catalog) -> SourceTables:
    restore_evicted(store, source_id, "frames", "crops")  # a page shows a few of them; only evicted ones cost time
    return SourceTables.read(store, source_id, refs, catalog.checks())


def _read_manifest(folder: Path) -> Manifest:
    try:
        return manifest.parse((folder / manifest.FILE).read_bytes())
    except OSError as error:
        raise ReleaseError(f"{folder} has no readable {manifest.FILE} ({error}); expected a finished release") from error


def _read_samples(catalog: Catalog, folder: Path, sample_ids: Iterable[str]) -> list[Sample]:
    """Read some of a release's samples back, as its first layout wrote them."""
    wanted, layout = set(sample_ids), next(iter(catalog.layouts().values()))
    return [sample for sample in layout.read(folder) if sample.sample_id in wanted]
