"""Which sources a catalog source stands for, and the id of each: a folder is many videos, a page many clips."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.sources import local_files, naming
from figureground.errors import SourceError
from figureground.media import addresses
from figureground.storage.store import Store
from figureground.tables import ListingRow
from figureground.types import Source


def expand(source: Source, catalog: Catalog) -> list[Source]:
    """Make one source of each video that a folder, a glob, a page or a prefix stands for. Photos stay one source.

    Parameters
    ----------
    source
        A source of the catalog; its path starts at the catalog's folder. A folder stands for the videos directly in it, known
        by their extension; those that are still being written are left for the next run. A page or prefix stands for what
        its listings table has; no server is asked.
    catalog
        Gives that folder, the storage with the ids that were given, and the ids that are taken.

    Returns
    -------
    list of Source
        The source itself when its path is one file or address. Otherwise one for each file, sorted by path, with the id that
        it was given before, or ``<source>-<slug>``: the file's name without extension in lower-case letters, digits and
        hyphens; new files that would share an id get a hash of their path. Licence, scenes and split are kept; a clip of a
        page has its own licence. A dataset with splits of its own becomes one source a split, ``<source>-<split>``, unless the
        catalog fixes one for all. A file whose id belongs to another source is left out, see `describe_refused_files`.

    Raises
    ------
    SourceError
        When nothing is there, a folder has no videos, every id belongs to another source, or a sha256 is pinned for several.
    """
    return _expand(source, catalog, remember=False)


def expand_and_remember(source: Source, catalog: Catalog) -> list[Source]:
    """Expand a source as `expand` does, and remember the ids of its files: nothing laid beside them changes an id any more.

    Raises
    ------
    SourceError
        As `expand`.
    StoreError
        When the storage cannot be written to.
    TransientError
        When another machine gives ids at this moment.
    """
    return _expand(source, catalog, remember=True)


def _expand(source: Source, catalog: Catalog, *, remember: bool) -> list[Source]:
    naming.refuse_equal_but_for_case(source.source_id, catalog)
    if source.kind == "layout":
        return _expand_dataset(source, catalog)
    if has_listing(source):
        return _expand_listing(source, catalog)
    if addresses.is_address(source.path) or local_files.resolve_path(source.path, catalog).is_file():
        naming.refuse_given_elsewhere(source, catalog)
        return [source]
    files = local_files.list_photos(source, catalog) if source.kind == "images" else local_files.list_videos(source, catalog)
    if source.sha256 and len(files) > 1:
        raise SourceError(
            f"source {source.source_id}: its sha256 pins one file, but {source.path} stands for {len(files)}; "
            "give one file, or remove the sha256"
        )
    return [source] if source.kind == "images" else _expand_files(source, files, catalog, remember=remember)


def has_listing(source: Source) -> bool:
    """Tell whether a source stands for what a server lists: a page, or a prefix of a storage.

    Raises
    ------
    SourceError
        When it is a prefix and its kind cannot be taken from one.
    """
    if source.kind == "web":
        return True
    elsewhere = "://" in source.path and not source.path.startswith(("http://", "https://"))
    path = addresses.split_url(source.path).path if elsewhere else ""
    if not elsewhere or (Path(path).suffix and not path.endswith("/")):
        return False
    if source.kind != "video":
        raise SourceError(
            f"source {source.source_id}: {addresses.hide_secrets(source.path)} is a prefix, which only videos can be taken "
            "from; give one photo's address, or copy the photos into a folder here"
        )
    return True


def describe_refused_files(source: Source, catalog: Catalog) -> str:
    """Say which videos of a folder or glob `expand` leaves out because another source has their ids; "" for none."""
    if not _is_many_videos(source, catalog):
        return ""
    return "; ".join(naming.name_files(source, local_files.list_videos(source, catalog), catalog).refused.values())


def _is_many_videos(source: Source, catalog: Catalog) -> bool:
    is_local = source.kind == "video" and not addresses.is_address(source.path)
    return is_local and not local_files.resolve_path(source.path, catalog).is_file()


def describe_unfinished_files(source: Source, catalog: Catalog) -> str:
    """Say which videos of a folder are still being written, which `expand` leaves for the next run; "" for none."""
    entry = catalog.sources.get(source.source_id)
    if entry is None or not _is_many_videos(source, catalog):
        return ""
    files = local_files.list_videos(source, catalog)
    growing = sorted(set(files) - set(local_files.finished_files(files, entry.limits.seconds_untouched_at_least)))
    names = ", ".join(local_files.catalog_path(path, source, catalog) for path in growing)
    return f"{names}: still being written; the next run takes it" if growing else ""


def listing_row(source: Source, catalog: Catalog) -> ListingRow | None:
    """Give the row of the listings table that a source comes from; None when it comes from no page or prefix."""
    name = catalog.entry_of(source.source_id)
    if name == source.source_id or name not in catalog.sources or not has_listing(catalog.source(name)):
        return None
    rows = _listing_rows(name, Store(catalog.storage_root))
    return next((row for row in rows if row.source_id == source.source_id), None)


def _listing_rows(name: str, store: Store) -> list[ListingRow]:
    ref = tables.find(store, "listings", name)
    return tables.read_rows(store, ref, ListingRow) if ref else []


def _expand_listing(source: Source, catalog: Catalog) -> list[Source]:
    rows = [row for row in _listing_rows(source.source_id, Store(catalog.storage_root)) if not row.reason]
    clips = [replace(source, source_id=row.source_id, kind="video", path=row.page, license=row.license) for row in rows]
    return sorted(_with_own_ids(source, clips, catalog), key=lambda clip: clip.source_id)


def _expand_files(source: Source, files: Sequence[Path], catalog: Catalog, *, remember: bool) -> list[Source]:
    entry = catalog.sources.get(source.source_id)
    finished = local_files.finished_files(files, entry.limits.seconds_untouched_at_least if entry else 0.0)
    give = naming.give_ids_to_files if remember else naming.name_files
    named = give(source, finished, catalog)
    if named.refused and len(named.refused) == len(finished):
        raise SourceError("; ".join(named.refused.values()))
    return [
        replace(source, source_id=named.ids[path], path=local_files.catalog_path(path, source, catalog))
        for path in finished
        if path not in named.refused
    ]


def _expand_dataset(source: Source, catalog: Catalog) -> list[Source]:
    """Make one source of each split of a dataset; images of no split are called rest."""
    folder = local_files.resolve_path(source.path, catalog)
    if addresses.is_address(source.path) or not folder.is_dir():
        raise SourceError(f"source {source.source_id}: expected {source.path} to be a folder with a dataset; found none there")
    splits = sorted({pair.split or "auto" for pair in catalog.dataset(source.source_id).find_pairs(folder)})
    if source.split != "auto" or splits in ([], ["auto"]):
        return [source]
    parts = [replace(source, source_id=f"{source.source_id}-{split.replace('auto', 'rest')}", split=split) for split in splits]
    return _with_own_ids(source, parts, catalog)


def _with_own_ids(source: Source, parts: list[Source], catalog: Catalog) -> list[Source]:
    """Refuse parts of a source of which two, or one and another source of the catalog, would have the same id."""
    paths: dict[str, str] = {}
    for part in parts:
        if part.source_id in paths or part.source_id in catalog.sources:
            other = paths.get(part.source_id, f"the source {part.source_id!r} of the catalog")
            raise SourceError(
                f"source {source.source_id}: {other} and {part.path} would both be called {part.source_id}; rename one"
            )
        paths[part.source_id] = part.path
    return parts
