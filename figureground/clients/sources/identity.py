"""Which sources a catalog source stands for, and the id of each: a folder is many videos, a page many clips.

The id of a file is made from its own path below its source, remembered once it is given, and of no other source.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from figureground import ids, tables
from figureground.catalog import Catalog
from figureground.clients.sources import local_files
from figureground.errors import SourceError, StoreError, TransientError
from figureground.escaping import escape_undecoded
from figureground.media import addresses
from figureground.storage.leases import hold_lease
from figureground.storage.store import Store
from figureground.tables import FrameRow, GivenIdRow, ListingRow, VideoRow, given_ids
from figureground.types import Source

_WAIT_SECONDS = 60.0


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
    refuse_equal_but_for_case(source.source_id, catalog)
    if source.kind == "layout":
        return _expand_dataset(source, catalog)
    if has_listing(source):
        return _expand_listing(source, catalog)
    if addresses.is_address(source.path) or local_files.resolve_path(source.path, catalog).is_file():
        refuse_given_elsewhere(source, catalog)
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
    """Say which files of a folder or glob `expand` leaves out: links out, special files, other sources' ids; "" for none."""
    reasons = [local_files.describe_irregular_files(source, catalog)]
    if _is_many_videos(source, catalog):
        reasons += name_files(source, local_files.list_videos(source, catalog), catalog).refused.values()
    return "; ".join(filter(None, reasons))


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
    give = give_ids_to_files if remember else name_files
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


# --- the ids of files ---

@dataclass(frozen=True, slots=True)
class NamedFiles:
    """The id of each file, and for those whose id another source has the reason why they are refused."""

    ids: Mapping[Path, str]
    refused: Mapping[Path, str]


def name_files(source: Source, files: Sequence[Path], catalog: Catalog) -> NamedFiles:
    """Give the ids of a source's files: those of the sources that videos become, or of the frames that photos become.

    Raises
    ------
    StoreError
        When the table of the ids that were given is damaged.
    """
    return _name_files(source, files, catalog)[0]


def give_ids_to_files(source: Source, files: Sequence[Path], catalog: Catalog) -> NamedFiles:
    """Give ids as `name_files` does, and remember them.

    Raises
    ------
    StoreError
        When the table of the ids is damaged or cannot be written.
    TransientError
        When another machine gives ids at this moment.
    """
    store = Store(catalog.storage_root)
    with _alone(store) if source.kind == "video" else nullcontext():  # photos are named by the run that locked their source
        named, given = _name_files(source, files, catalog)
        given_ids.write(store, source.source_id, given)
    return named


def give_frame_ids(source: Source, names: Mapping[str, str], catalog: Catalog) -> tuple[dict[str, str], dict[str, str]]:
    """Give the images of a dataset the ids of their frames, and remember them.

    Parameters
    ----------
    source
        A dataset or one of its splits.
    names
        The path of each image below the dataset, to the readable name that its id is made from.
    catalog
        Gives the storage and the ids that are taken.

    Returns
    -------
    tuple
        The ids by path, and for those whose id another source has the reason.

    Raises
    ------
    StoreError
        When the table of the ids is damaged or cannot be written.
    """
    store = Store(catalog.storage_root)
    before = given_ids.read(store, source.source_id)
    given = ids.keep_renamed(names, _frame_ids(store, source.source_id) if before is None else before)
    assigned = ids.assign_item_ids(source.source_id, names, given)
    new = {path: path for path in names if path not in given}
    refused = _find_foreign(source.source_id, assigned, new, catalog, store)
    given_ids.write(store, source.source_id, given | {path: own for path, own in assigned.items() if path not in refused})
    return assigned, refused


def refuse_given_elsewhere(source: Source, catalog: Catalog) -> None:
    """Refuse a source of one file whose id was given to a file of a folder or dataset before.

    Raises
    ------
    SourceError
        When it was; the message has both names.
    """
    own = {source.path: (addresses.hide_secrets(source.path), source.source_id)}
    for reason in _find_given_elsewhere(source.source_id, own, Store(catalog.storage_root)).values():
        raise SourceError(f"source {source.source_id}: {reason}")


def refuse_equal_but_for_case(name: str, catalog: Catalog) -> None:
    """Refuse a new source whose name differs from another's only in its case: many file systems take both for one.

    Raises
    ------
    SourceError
        When there is such a source, and this one has nothing in the storage yet.
    """
    others = [other for other in catalog.sources if other != name and other.casefold() == name.casefold()]
    if others and name not in {catalog.entry_of(stored) for stored in tables.sources(Store(catalog.storage_root), "videos")}:
        raise SourceError(
            f"source {name}: its name and {others[0]}, another source of the catalog, differ only in upper and lower case, "
            "which file systems of macOS and Windows take for one name; rename one"
        )


def _name_files(source: Source, files: Sequence[Path], catalog: Catalog) -> tuple[NamedFiles, dict[str, str]]:
    store, root = Store(catalog.storage_root), local_files.photo_root(source, catalog)
    names = {ids.escape_name(path.relative_to(root).as_posix()): path for path in files}
    before = given_ids.read(store, source.source_id)
    given = ids.keep_renamed(names, _ids_of_older_tables(source, catalog, store, names) if before is None else before)
    readable = {name: path.stem if source.kind == "video" else _without_suffix(path, root) for name, path in names.items()}
    assigned = ids.assign_item_ids(source.source_id, readable, given)
    new = {name: local_files.catalog_path(path, source, catalog) for name, path in names.items() if name not in given}
    foreign = _find_foreign(source.source_id, assigned, new, catalog, store)
    refused = {names[name]: f"source {source.source_id}: {reason}" for name, reason in foreign.items()}
    remembered = given | {name: item_id for name, item_id in assigned.items() if name not in foreign}
    return NamedFiles({names[name]: item_id for name, item_id in assigned.items()}, refused), remembered


def _without_suffix(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def _ids_of_older_tables(source: Source, catalog: Catalog, store: Store, names: Mapping[str, Path]) -> dict[str, str]:
    """Give the ids of a storage that is older than the table of ids: the other tables name each file with its id."""
    root = local_files.photo_root(source, catalog)
    shown = {escape_undecoded(path.relative_to(root).as_posix()): name for name, path in names.items()}
    pairs = _photo_ids(store, source.source_id) if source.kind == "images" else _video_ids(store, source.source_id, catalog)
    below = ((os.path.relpath(catalog.folder / path, root), item_id) for path, item_id in pairs)
    return {shown.get(path, ids.escape_name(path)): item_id for path, item_id in below if not path.startswith("..")}


def _photo_ids(store: Store, source_id: str) -> Iterator[tuple[str, str]]:
    if ref := tables.find(store, VideoRow.stage, source_id):
        frame_ids = tables.read_facts(store, ref).get("frame_ids", [])
        yield from zip((row.path for row in tables.read_rows(store, ref, VideoRow)), frame_ids, strict=False)


def _video_ids(store: Store, name: str, catalog: Catalog) -> Iterator[tuple[str, str]]:
    for source_id in tables.sources(store, VideoRow.stage):
        if source_id != name and catalog.entry_of(source_id) == name and (ref := tables.find(store, VideoRow.stage, source_id)):
            yield from ((row.path, source_id) for row in tables.read_rows(store, ref, VideoRow))


def _frame_ids(store: Store, source_id: str) -> dict[str, str]:
    """Give the ids of a dataset that was imported before; where two images had one id, neither keeps it."""
    ref = tables.find(store, FrameRow.stage, source_id)
    rows = tables.read_rows(store, ref, FrameRow) if ref else []
    owners: dict[str, set[str]] = {}
    for row in rows:
        owners.setdefault(row.frame_id, set()).add(row.original)
    return {ids.escape_name(row.original): row.frame_id for row in rows if len(owners[row.frame_id]) == 1}


def _find_foreign(
    source_id: str, assigned: Mapping[str, str], new: Mapping[str, str], catalog: Catalog, store: Store
) -> dict[str, str]:
    """Find the new ids that are another source's, or read like those of its frames, and say why their files are refused.

    `new` has how to name each file that has a new id.
    """
    begin = f"{source_id}-".casefold()
    others = [name for name in catalog.sources if name.casefold().startswith(begin)]
    reasons: dict[str, str] = {}
    for path, shown in new.items():
        item_id = assigned[path]
        for other in others:
            if item_id.casefold() == other.casefold():
                reasons[path] = f"the source {other!r} of the catalog and {shown} would both be called {item_id}; rename one"
            elif item_id.casefold().startswith(f"{other}-".casefold()):
                reasons[path] = (
                    f"{shown} would be called {item_id}, as a frame of the source {other} would; "
                    "rename the file or one of the sources"
                )
    return reasons | _find_given_elsewhere(source_id, {path: (shown, assigned[path]) for path, shown in new.items()}, store)


def _find_given_elsewhere(source_id: str, items: Mapping[str, tuple[str, str]], store: Store) -> dict[str, str]:
    """Find the ids that a source with a shorter name gave before: `a` gave `a-b-c` to `b-c`, which `a-b` would give to `c`.

    `items` has how to name each file, and its id.
    """
    reasons: dict[str, str] = {}
    if "-" not in source_id or not items:
        return reasons
    for other in tables.sources(store, GivenIdRow.stage):
        if other != source_id and source_id.casefold().startswith(f"{other}-".casefold()):
            owners = {item_id.casefold(): path for path, item_id in (given_ids.read(store, other) or {}).items()}
            reasons |= {
                path: f"{shown} would be called {item_id}, as {owners[item_id.casefold()]} of the source {other} is; "
                "rename the file or one of the sources"
                for path, (shown, item_id) in items.items()
                if item_id.casefold() in owners
            }
    return reasons


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Let one process at a time give ids."""
    from filelock import FileLock, Timeout  # asyncio comes with it, which most commands do not need

    lock = store.path(".locks/ids.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with hold_lease(store, "leases/ids"), FileLock(lock, timeout=_WAIT_SECONDS):
            yield
    except Timeout as error:
        raise TransientError(f"{lock}: another run gives ids since {_WAIT_SECONDS:g} s; run again when it ended") from error
    except OSError as error:
        raise StoreError(f"cannot write {lock}: {error.strerror}. Change its permissions, or set another `storage:`") from error
