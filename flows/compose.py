"""Synthetic pairs: a release's people, or any cutouts, on new backgrounds."""

from pathlib import Path
from typing import NamedTuple

from prefect import flow

from figureground import tables
from figureground.catalog import Catalog, load
from figureground.clients.sources.fetching import fetch_asset
from figureground.errors import ReleaseError, SourceError
from figureground.inference import cores
from figureground.plugins import weights
from figureground.storage.locks import hold_storage
from figureground.storage.store import Store
from figureground.types import Release, TableRef
from flows.ingest import expand_sources
from tasks.datasets.compose import check_recipe, compose_again, missing_images
from tasks.datasets.compose import compose as make
from tasks.datasets.composite_report import write_composite_report
from tasks.datasets.filter_backgrounds import filter_backgrounds
from tasks.datasets.load_cutouts import load_cutouts
from tasks.datasets.verify_composites import verify_composites
from tasks.ingest.fetch import fetch
from tasks.ingest.sample import sample


class Composed(NamedTuple):
    """A finished folder, its page in the storage, and what could not be had."""

    release: Release
    page: str
    lacking: tuple[str, ...]


@flow(name="compose", validate_parameters=False, persist_result=False)
def compose(catalog: str = "data_catalog.yaml", note: str = "", workers: int = 0) -> Composed:
    """Make the synthetic pairs that the catalog asks for, check them, and write their page.

    Parameters
    ----------
    catalog
        The catalog's file.
    note
        The last part of the folder's name; "" takes the catalog's.
    workers
        How many processes make images; 0 takes one per processor.

    Raises
    ------
    CatalogError
        When the catalog has no ``compose``.
    ReleaseError
        When nothing is left to compose, or a name is taken by another content.
    """
    settings = settled(Path(catalog), note)
    check_recipe(settings)
    with hold_storage(Store(settings.storage_root).path(".locks"), "compose"):
        people, backgrounds = inputs(settings)
        composed = make(people, backgrounds, settings, workers or cores.usable_cores())
        verify_composites(Path(composed.folder))
        page = write_composite_report(people, backgrounds, composed, settings)
    return Composed(composed, page, missing_images(settings))


def settled(catalog: Path, note: str) -> Catalog:
    """Read the catalog; a note that was given takes the place of its own."""
    settings = load(catalog)
    own = settings.composition()
    return settings.model_copy(update={"compose": own.model_copy(update={"note": note or own.note})})


def inputs(catalog: Catalog) -> tuple[TableRef, TableRef]:
    """Bring people and backgrounds into the storage; sources that are backgrounds are fetched and sampled first."""
    recipe = catalog.composition()
    for asset in weights(catalog.background_detector()):
        fetch_asset(catalog.asset(asset.name))
    people = load_cutouts(catalog)
    frames: dict[str, list[TableRef]] = {}
    for name in sorted({entry.source for entry in recipe.backgrounds if entry.source}):
        sources, refused = expand_sources(catalog, [name])
        if refused:
            raise SourceError(f"compose.backgrounds: source {name}: {refused[0].error}")
        frames[name] = [sample(source, fetch(source, catalog), catalog) for source in sources]
    return people, filter_backgrounds(frames, catalog)


def remake(catalog: Path, stem: str, into: Path, note: str = "") -> tuple[list[Path], list[str]]:
    """Make one picture of a composition again, alone.

    Returns
    -------
    tuple
        The files that were written below ``into``, and which of them differ from the composition's.

    Raises
    ------
    ReleaseError
        When there is no such picture, or nothing was composed yet.
    """
    settings = settled(catalog, note)
    name = settings.composition().note
    store = Store(settings.storage_root)
    people, backgrounds = (tables.find(store, stage, name) for stage in ("people", "backgrounds"))
    if people is None or backgrounds is None:
        raise ReleaseError(f"nothing was composed as {name} yet; run `figureground compose` first")
    files, differing = compose_again(stem, people, backgrounds, settings)
    for file, content in files.items():
        (into / file).parent.mkdir(parents=True, exist_ok=True)
        (into / file).write_bytes(content)
    return [into / file for file in files], differing
