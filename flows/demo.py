"""The whole pipeline once, on small clips, in a folder of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figureground.catalog import load, render_for_folder
from figureground.clients.local_label_studio import Studio, start, stop
from figureground.datasets.funnel import Funnel
from figureground.errors import FiguregroundError
from figureground.storage.atomic import write_file
from figureground.storage.store import Store
from figureground.tables import formats
from figureground.types import Release
from flows.annotate import pull_all, push_all
from flows.ingest import ingest
from flows.outcomes import Outcome
from flows.release import cut
from tasks.annotation.simulated_annotator import simulate_annotator
from tasks.datasets.summarise import summarise
from tasks.ingest.report import write_pipeline_page, write_poster


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo made.

    Parameters
    ----------
    catalog_file
        The demo's own catalog.
    funnels
        The counts of each source.
    release
        The verified release.
    page
        The pipeline page.
    contact_sheets
        One image file per source.
    studio
        The local Label Studio; it runs only when it was kept.
    """

    catalog_file: Path
    funnels: list[Funnel]
    release: Release
    page: Path
    contact_sheets: list[Path]
    studio: Studio


def run_demo(catalog_file: Path, *, keep: bool, announce: Callable[[str], None]) -> DemoResult:
    """Run the pipeline from the catalog's videos to a verified release, in the folder ``demo`` beside the catalog.

    The user's own storage and projects are not touched: labels of a simulated annotator must never mix with real labels.

    Parameters
    ----------
    catalog_file
        The catalog with the sources and the recipe.
    keep
        Leave Label Studio running.
    announce
        Called with the name of each step before the step starts.

    Returns
    -------
    DemoResult
        The release, its pages, and the server.

    Raises
    ------
    FiguregroundError
        When a stage fails; running again continues.
    """
    demo_file = catalog_file.resolve().parent / "demo" / "catalog.yaml"
    _write_catalog(demo_file, catalog_file, load(catalog_file).label_studio.url)
    formats.require_current(Store(load(demo_file).storage_root))
    announce("1. video → frames → crops → checks → mattes")
    _raise_failures(ingest(str(demo_file)))
    announce("2. starting Label Studio")
    studio = start(load(demo_file), None)
    _write_catalog(demo_file, catalog_file, studio.url)
    try:
        return _annotate_and_release(demo_file, studio, announce)
    finally:
        if not keep:
            stop(load(demo_file))


def _write_catalog(demo_file: Path, catalog_file: Path, url: str) -> None:
    text = render_for_folder(load(catalog_file), demo_file.parent, url=url, project="figureground demo", note="demo")
    write_file(demo_file, text.encode())


def _annotate_and_release(catalog_file: Path, studio: Studio, announce: Callable[[str], None]) -> DemoResult:
    catalog = load(catalog_file)
    announce("3. pushing to Label Studio")
    sources = [outcome.source_id for outcome in _raise_failures(push_all(str(catalog_file)))]
    announce("4. the simulated annotator accepts, corrects and rejects")
    simulate_annotator(catalog)
    announce("5. pulling the labels")
    _raise_failures(pull_all(str(catalog_file)))
    announce("6. making and verifying the release")
    release = cut(str(catalog_file))
    funnels = [summarise(source_id, catalog) for source_id in sources]
    folder = Path(release.folder)
    contact_sheets = [write_poster(catalog, folder, source_id) for source_id in sources]
    return DemoResult(catalog_file, funnels, release, write_pipeline_page(catalog, folder), contact_sheets, studio)


def _raise_failures(outcomes: list[Outcome]) -> list[Outcome]:
    failed = [f"{outcome.source_id}: {outcome.error}" for outcome in outcomes if outcome.error]
    if failed:
        raise FiguregroundError("the demo stopped; run it again to continue\n" + "\n".join(failed))
    return outcomes
