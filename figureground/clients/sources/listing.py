"""What a page, playlist, channel, feed or prefix holds now, and which of it may be taken: the rows of a listings table.

Nothing is asked twice: the page of a clip that was fetched is not read again, and a clip that was refused for what its page
says is judged again by today's limits. Only the pages of new clips are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from figureground import ids
from figureground.catalog import Catalog
from figureground.clients.sources import object_storage
from figureground.clients.sources.transfer import limits_of
from figureground.errors import SourceError, TransientError
from figureground.media import addresses, clips
from figureground.media.clips import Clip
from figureground.media.decoding import SUFFIXES
from figureground.storage import downloads
from figureground.storage.downloads import Download
from figureground.storage.store import Store
from figureground.tables import ListingRow
from figureground.types import Source

if TYPE_CHECKING:
    from figureground.clients.sources.ytdlp import ListedClip

_PAGES_READ_AT_LEAST = 200
_FORGOTTEN = "forgotten: it was fetched once, then removed"

Key = tuple[str, str]
"""Site and clip id: the identity of a clip."""


def list_source(source: Source, catalog: Catalog, before: Sequence[ListingRow]) -> list[ListingRow]:
    """List what a page or prefix holds now, with the reason why a clip is not taken.

    Parameters
    ----------
    source
        Of ``kind: web``, or with a prefix such as ``s3://bucket/prefix`` as its path.
    catalog
        Gives the storage, the limits, the allowed licences and hosts.
    before
        The rows of the last listing.

    Returns
    -------
    list of ListingRow
        First what is there now, in the page's order or sorted by name, then what was there before.

    Raises
    ------
    SourceError
        When the list cannot be had, or a host is not allowed.
    TransientError
        When the site or storage does not answer now.
    """
    listing = _Listing(source, catalog, {(row.site, row.clip_id): row for row in before})
    return listing.of_page() if source.kind == "web" else listing.of_prefix()


class _Listing:
    """One listing of one source: what it was, what is there, and what becomes of each clip."""

    def __init__(self, source: Source, catalog: Catalog, before: Mapping[Key, ListingRow]) -> None:
        self._source, self._catalog, self._before = source, catalog, before
        self._store = Store(catalog.storage_root)
        self._entry = catalog.sources[source.source_id]
        self._limits = limits_of(source.source_id, catalog)
        self._archived = downloads.list_names(self._store)
        self._rows: dict[Key, ListingRow] = {}
        self._named = {row.source_id for row in before.values()}
        self._taken = self._pages_read = 0

    # --- pages ---

    def of_page(self) -> list[ListingRow]:
        from figureground.clients.sources import ytdlp  # its import takes seconds

        waiting = ytdlp.list_clips(self._source.path, self._limits)
        fetched = {key: self._fetched(*key) for key in {*((clip.site, clip.clip_id) for clip in waiting), *self._before}}
        self._taken = sum(download is not None and self._is_own(download) for download in fetched.values())
        while waiting and len(self._rows) < ytdlp.LISTED_AT_MOST:
            listed = waiting.pop(0)
            key = (listed.site, listed.clip_id)
            if key not in self._rows:
                waiting = self._settle(listed, self._fetched(*key)) + waiting
        for key, row in self._before.items():
            if key not in self._rows:
                self._rows[key] = self._no_longer_listed(row, fetched[key])
        return list(self._rows.values())

    def _settle(self, listed: "ListedClip", download: Download | None) -> "list[ListedClip]":
        """Give a clip its row; one that turns out to be a list of clips gives these instead."""
        key = (listed.site, listed.clip_id)
        before = self._before.get(key)
        unread = Clip(listed.site, listed.clip_id, addresses.make_public(listed.address))
        if download:
            self._rows[key] = self._row_of_fetched(unread, before, download)
        elif before and before.examined and (reason := self._refusal(_clip(before))):
            self._rows[key] = replace(before, reason=reason)
        elif self._taken >= self._entry.limits.videos_at_most:
            self._rows[key] = self._row(unread, self._full(), examined=False)
        elif self._pages_read >= max(_PAGES_READ_AT_LEAST, 2 * self._entry.limits.videos_at_most):
            later = "later: enough pages were read in one run; the next run goes on"
            self._rows[key] = self._row(unread, later, examined=False)
        else:
            return self._read_page(listed, unread)
        return []

    def _read_page(self, listed: "ListedClip", unread: Clip) -> "list[ListedClip]":
        from figureground.clients.sources import ytdlp

        key = (listed.site, listed.clip_id)
        self._pages_read += 1
        try:
            clip = ytdlp.read_page(listed, self._limits)
        except TransientError as error:
            self._rows[key] = self._row(unread, f"later: {error}", examined=False)
        except SourceError as error:
            self._rows[key] = self._row(unread, f"cannot be had: {error}", examined=False)
        else:
            if isinstance(clip, list):
                return clip
            clip = replace(clip, license=clip.license or self._source.license)
            reason = self._refusal(clip)
            self._taken += not reason
            self._rows[key] = self._row(clip, reason, examined=True)
        return []

    def _row_of_fetched(self, clip: Clip, before: ListingRow | None, download: Download) -> ListingRow:
        if download.row is None:
            return self._row(clip, _FORGOTTEN, examined=False, source_id=download.source_id)
        if not self._is_own(download):
            return self._row(clip, f"twice: it is the source {download.source_id} already", examined=False)
        row = before or self._row(replace(clip, license=str(download.row["license"])), "", examined=True)
        return replace(row, source_id=download.source_id, reason="")

    def _no_longer_listed(self, row: ListingRow, download: Download | None) -> ListingRow:
        """Give the row of a clip that is not listed any more: one that was fetched stays a source."""
        if download and download.row is not None and self._is_own(download):
            return replace(row, reason="")
        return replace(row, reason=row.reason or "gone: it is not listed any more")

    # --- prefixes ---

    def of_prefix(self) -> list[ListingRow]:
        names = {row.page: row.source_id for row in self._before.values()}
        listed = object_storage.list_objects(self._source.path, self._entry.storage_options)
        visible = [stored for stored in listed if not ids.is_hidden(stored.name)]
        for stored in sorted(visible, key=lambda stored: not _ends_like_video(stored.name)):  # videos are named first
            page = addresses.hide_secrets(stored.address)
            site = page.partition("://")[0]
            clip = Clip(site, f"{page}@{stored.version}", page, license=self._source.license, bytes=stored.size)
            download = self._fetched(clip.site, clip.clip_id)
            reason = "" if download and download.row is not None else self._refusal_of_object(clip, download)
            self._taken += not reason
            name = download.source_id if download else names.get(page) or self._name_of_object(stored.name, page)
            self._rows[clip.site, clip.clip_id] = self._row(clip, reason, examined=True, source_id=name)
        pages = {addresses.hide_secrets(stored.address): place for place, stored in enumerate(visible)}
        gone = [row for row in self._before.values() if row.page not in pages]
        there = sorted(self._rows.values(), key=lambda row: pages[row.page])
        return [*there, *(self._no_longer_listed(row, self._fetched(row.site, row.clip_id)) for row in gone)]

    def _refusal_of_object(self, clip: Clip, download: Download | None) -> str:
        limits = self._entry.limits
        if download:
            return _FORGOTTEN
        if not _ends_like_video(clip.page):
            return f"ending: no video's; expected one of {', '.join(sorted(SUFFIXES))}"
        if not clip.bytes:
            return "size: the file is empty (0 bytes)"
        if self._taken >= limits.videos_at_most:
            return self._full()
        return clips.rejection_reason(clip, (self._source.license,), limits)

    def _name_of_object(self, name: str, page: str) -> str:
        """Name a file of a prefix as one of a folder is named; a second one of that name gets a hash."""
        room = ids.ID_LENGTH_AT_MOST - len(self._source.source_id) - 1
        stem = str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name
        own = f"{self._source.source_id}-{ids.make_slug(stem, room)}"
        taken = own in self._named or own in self._catalog.sources
        return self._out_of_others_way(clips.make_source_id(self._source.source_id, stem, page, {own}) if taken else own)

    # --- both ---

    def _fetched(self, site: str, clip_id: str) -> Download | None:
        """Find a clip in the download archive."""
        return downloads.find(self._store, site, clip_id) if downloads.name(site, clip_id) in self._archived else None

    def _is_own(self, download: Download) -> bool:
        return self._catalog.entry_of(download.source_id) == self._source.source_id

    def _refusal(self, clip: Clip) -> str:
        allowed = (*self._entry.licenses, *([self._source.license] if self._source.license else []))
        return clips.rejection_reason(clip, allowed, self._entry.limits)

    def _full(self) -> str:
        return f"number: {self._taken} are taken; videos_at_most: {self._entry.limits.videos_at_most}"

    def _row(self, clip: Clip, reason: str, *, examined: bool, source_id: str = "") -> ListingRow:
        before = self._before.get((clip.site, clip.clip_id))
        source_id = source_id or (before.source_id if before else self._name_of_clip(clip))
        self._named.add(source_id)
        return ListingRow(
            source_id=source_id,
            site=clip.site,
            clip_id=clip.clip_id,
            page=clip.page,
            license=clip.license,
            seconds=clip.seconds,
            bytes=clip.bytes,
            examined=examined,
            reason=reason,
        )

    def _name_of_clip(self, clip: Clip) -> str:
        taken = {*self._named, *self._catalog.sources}
        return self._out_of_others_way(clips.make_source_id(self._source.source_id, clip.clip_id, clip.site, taken))

    def _out_of_others_way(self, name: str) -> str:
        """Replace a name that reads like another source's clip: `walks-2-x` when there is a source `walks-2`."""
        if self._catalog.entry_of(name) == self._source.source_id:
            return name
        return f"{self._source.source_id}-{ids.hash_name(name)}"


def _ends_like_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _clip(row: ListingRow) -> Clip:
    return Clip(row.site, row.clip_id, row.page, license=row.license, seconds=row.seconds, bytes=row.bytes)
