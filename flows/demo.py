"""The whole way once, on small clips, in a folder of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figureground.catalog import load, render_for_folder
from figureground.clients.local_label_studio import Studio, down, up
from figureground.errors import FiguregroundError
from figureground.storage.atomic import write_file
from figureground.types import Release
from flows.annotate import pull_all, push_all
from flows.ingest import Outcome, ingest
from flows.release import cut
from tasks.annotation.simulated_annotator import stand_in
from tasks.datasets.summarise import Funnel, summarise
from tasks.ingest.report import picture, way


@dataclass(frozen=True, slots=True)
class End:
    """What the demo made."""

    catalog_file: Path
    funnels: list[Funnel]
    release: Release
    page: Path
    pictures: list[Path]
    studio: Studio


def demo(catalog_file: Path, *, keep: bool, say: Callable[[str], None]) -> End:
    """Go from the catalog's videos to a verified release in the folder ``demo`` beside the catalog.

    The user's own storage and projects are not touched: a stand-in annotates, and what it made must never mix with labels.

    Parameters
    ----------
    catalog_file
        Whose sources and recipe are shown.
    keep
        Leave Label Studio running.
    say
        Told what happens next.

    Raises
    ------
    FiguregroundError
        When a stage fails; running again carries on.
    """
    mine = catalog_file.resolve().parent / "demo" / "catalog.yaml"
    _write_catalog(mine, catalog_file, load(catalog_file).label_studio.url)
    say("1. video → frames → crops → checks → mattes")
    _all(ingest(str(mine)))
    say("2. starting Label Studio")
    studio = up(load(mine), None)
    _write_catalog(mine, catalog_file, studio.url)
    try:
        return _annotated(mine, studio, say)
    finally:
        if not keep:
            down(load(mine))


def _write_catalog(mine: Path, catalog_file: Path, url: str) -> None:
    text = render_for_folder(load(catalog_file), mine.parent, url=url, project="figureground demo", note="demo")
    write_file(mine, text.encode())


def _annotated(catalog_file: Path, studio: Studio, say: Callable[[str], None]) -> End:
    catalog = load(catalog_file)
    say("3. pushing to Label Studio")
    sources = [outcome.source_id for outcome in _all(push_all(str(catalog_file)))]
    say("4. the stand-in annotator accepts, corrects and rejects")
    stand_in(catalog)
    say("5. pulling the labels")
    _all(pull_all(str(catalog_file)))
    say("6. cutting and verifying the release")
    made = cut(str(catalog_file))
    funnels = [summarise(source_id, catalog) for source_id in sources]
    folder = Path(made.folder)
    pictures = [picture(catalog, folder, source_id) for source_id in sources]
    return End(catalog_file, funnels, made, way(catalog, folder), pictures, studio)


def _all(outcomes: list[Outcome]) -> list[Outcome]:
    failed = [f"{outcome.source_id}: {outcome.error}" for outcome in outcomes if outcome.error]
    if failed:
        raise FiguregroundError("the demo stopped; running it again carries on\n" + "\n".join(failed))
    return outcomes
