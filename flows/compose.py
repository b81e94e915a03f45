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
from figureground.storage.store import Store
from figureground.types import Release, TableRef
from flows.ingest import expand_sources
from tasks.datasets.compose import again, check, lacks
from tasks.datasets.compose import compose as make
from tasks.datasets.composite_report import contact
from tasks.datasets.filter_backgrounds import screen
from tasks.datasets.load_cutouts import gather
from tasks.datasets.verify_composites import recheck
from tasks.ingest.fetch import fetch
from tasks.ingest.sample import sample


class Composed(NamedTuple):
    """A finished folder, its page in the storage, and what could not be had."""

    release: Release
    page: str
    lacking: tuple[str, ...]


@flow(name="compose", validate_parameters=False, persist_result=False)
def compose(catalog: str = "data_catalog.yaml", note: str = "", processes: int = 0) -> Composed:
    """Make the synthetic pairs that the catalog asks for, check them, and write their page.

    Parameters
    ----------
    catalog
        The catalog's file.
    note
        The last part of the folder's name; "" takes the catalog's.
    processes
        How many make pictures at the same time; 0 takes one a processor.

    Raises
    ------
    CatalogError
        When the catalog has no ``compose``.
    ReleaseError
        When nothing is left to compose, or a name is taken by another content.
    """
    settings = settled(Path(catalog), note)
    check(settings)
    people, backgrounds = inputs(settings)
    made = make(people, backgrounds, settings, processes or cores.usable_cores())
    recheck(Path(made.folder))
    page = contact(people, backgrounds, made, settings)
    return Composed(made, page, lacks(settings))


def settled(catalog: Path, note: str) -> Catalog:
    """Read the catalog; a note that was given takes the place of its own."""
    settings = load(catalog)
    own = settings.composition()
    return settings.model_copy(update={"compose": own.model_copy(update={"note": note or own.note})})


def inputs(catalog: Catalog) -> tuple[TableRef, TableRef]:
    """Bring people and backgrounds into the storage; sources that are backgrounds are fetched and sampled first."""
    recipe = catalog.composition()
    for one in weights(catalog.background_detector()):
        fetch_asset(catalog.asset(one.name))
    people = gather(catalog)
    frames: dict[str, list[TableRef]] = {}
    for name in sorted({entry.source for entry in recipe.backgrounds if entry.source}):
        found, refused = expand_sources(catalog, [name])
        if refused:
            raise SourceError(f"compose.backgrounds: source {name}: {refused[0].error}")
        frames[name] = [sample(source, fetch(source, catalog), catalog) for source in found]
    return people, screen(frames, catalog)


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
    files, differing = again(stem, people, backgrounds, settings)
    for file, content in files.items():
        (into / file).parent.mkdir(parents=True, exist_ok=True)
        (into / file).write_bytes(content)
    return [into / file for file in files], differing
