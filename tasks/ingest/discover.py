"""discover: what a page, playlist, channel, feed or a storage's prefix holds now → the listings table, a row a clip."""

import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from figureground import ids, tables
from figureground.catalog import Catalog
from figureground.clients import object_storage, ytdlp
from figureground.clients.http_download import Rules, rules_of, sweep_unfinished
from figureground.clients.ytdlp import Entry
from figureground.errors import SourceError, TransientError
from figureground.media import addresses, clips
from figureground.media.clips import Clip
from figureground.media.decoding import SUFFIXES
from figureground.storage import downloads
from figureground.storage.store import Store
from figureground.types import Source, TableRef
from tasks import retried_task

_log = logging.getLogger(__name__)

_LOOKED_AT_AT_LEAST = 200
_TOLD_ONE_BY_ONE = 20

Row = dict[str, Any]
Key = tuple[str, str]


@retried_task
def discover(source: Source, catalog: Catalog) -> TableRef:
    """Find out what is new on a page or below a prefix, and which of it may be taken.

    What was fetched before is never asked for again; what was refused by what its page says is judged again by today's
    limits, without asking; only clips that nobody looked at are asked for.

    Parameters
    ----------
    source
        Of ``kind: web``, or with a prefix such as ``s3://bucket/prefix`` as its path.
    catalog
        Gives the storage, the limits, the allowed licences and hosts.

    Returns
    -------
    TableRef
        The listings table: a row a clip that is or was there, with the reason why it is not taken, or "".

    Raises
    ------
    SourceError
        When the list cannot be had, or a host is not allowed.
    TransientError
        When the site or storage does not answer now.
    StoreError
        When the storage cannot be written to.
    """
    store = Store(catalog.storage_root)
    sweep_unfinished()
    latest = tables.latest(store, "listings", source.source_id)
    before = {} if latest is None else {(row["site"], row["clip_id"]): row for row in latest.rows.to_dict("records")}
    listing = _Listing(source, catalog, store, before)
    rows = listing.of_page() if source.kind == "web" else listing.of_prefix()
    _tell(source, rows, before)
    return tables.write(store, "listings", source.source_id, pd.DataFrame(rows), fingerprint="")


def refusals(ref: TableRef, catalog: Catalog) -> str:
    """Say in one line how much of a listing is not taken, and why; "" when all is.

    Parameters
    ----------
    ref
        As `discover` gives it.
    catalog
        Gives the storage.
    """
    reasons = [reason for reason in tables.read(Store(catalog.storage_root), ref).rows["reason"] if reason]
    if not reasons:
        return ""
    kinds = Counter(reason.partition(":")[0] for reason in reasons)
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    return f"{len(reasons)} of {ref.rows} are not taken ({told}); {ref.file} says why"


class _Listing:
    """One look at one source: what it was, what is there, and what becomes of it."""

    def __init__(self, source: Source, catalog: Catalog, store: Store, before: Mapping[Key, Row]) -> None:
        self._source, self._catalog, self._store, self._before = source, catalog, store, before
        self._entry = catalog.sources[source.source_id]
        self._rules: Rules = rules_of(source.source_id, catalog)
        self._known = downloads.list_names(store)
        self._rows: dict[Key, Row] = {}
        self._named = {row["source_id"]: key for key, row in before.items()}
        self._taken = self._looked_at = 0

    # --- pages ---

    def of_page(self) -> list[Row]:
        waiting = ytdlp.listing(self._source.path, self._rules)
        listed = {(entry.site, entry.clip_id) for entry in waiting}
        done = {key: self._done(*key) for key in {*listed, *self._before}}
        self._taken = sum(found is not None and self._own(found) for found in done.values())
        while waiting and len(self._rows) < ytdlp.LISTED_AT_MOST:
            entry = waiting.pop(0)
            key = (entry.site, entry.clip_id)
            if key not in self._rows:
                waiting = self._settle(entry, self._done(*key)) + waiting
        for key, row in self._before.items():
            if key not in self._rows:
                self._rows[key] = self._left(row, done[key])
        return list(self._rows.values())

    def _settle(self, entry: Entry, done: downloads.Download | None) -> list[Entry]:
        """Give a clip its row; one that is a list of clips gives these instead."""
        key = (entry.site, entry.clip_id)
        before = self._before.get(key)
        blank = Clip(entry.site, entry.clip_id, addresses.page(entry.address))
        if done:
            self._rows[key] = self._fetched(blank, before, done)
        elif before and before["examined"] and (reason := self._judged(_clip(before))):
            self._rows[key] = {**before, "reason": reason}
        elif self._taken >= self._entry.limits.videos_at_most:
            self._rows[key] = self._row(blank, self._full(), examined=False)
        elif self._looked_at >= max(_LOOKED_AT_AT_LEAST, 2 * self._entry.limits.videos_at_most):
            self._rows[key] = self._row(blank, "later: enough were looked at for once; the next run goes on", examined=False)
        else:
            return self._examined(entry, blank)
        return []

    def _examined(self, entry: Entry, blank: Clip) -> list[Entry]:
        key = (entry.site, entry.clip_id)
        self._looked_at += 1
        try:
            found = ytdlp.examine(entry, self._rules)
        except TransientError as error:
            self._rows[key] = self._row(blank, f"later: {error}", examined=False)
        except SourceError as error:
            self._rows[key] = self._row(blank, f"cannot be had: {error}", examined=False)
        else:
            if isinstance(found, list):
                return found
            clip = replace(found, license=found.license or self._source.license)
            reason = self._judged(clip)
            self._taken += not reason
            self._rows[key] = self._row(clip, reason, examined=True)
        return []

    def _fetched(self, clip: Clip, before: Row | None, done: downloads.Download) -> Row:
        if done.row is None:
            return self._row(clip, "forgotten: it was fetched once, then removed", examined=False, named=done.source_id)
        if not self._own(done):
            return self._row(clip, f"twice: it is the source {done.source_id} already", examined=False)
        kept = before or self._row(replace(clip, license=str(done.row["license"])), "", examined=True)
        return {**kept, "source_id": done.source_id, "reason": ""}

    def _left(self, row: Row, done: downloads.Download | None) -> Row:
        """Give the row of a clip that is not listed any more: what was fetched stays a source."""
        if done and done.row is not None and self._own(done):
            return {**row, "reason": ""}
        return {**row, "reason": row["reason"] or "gone: it is not listed any more"}

    # --- storages ---

    def of_prefix(self) -> list[Row]:
        pages = {row["page"]: row["source_id"] for row in self._before.values()}
        for held in object_storage.listed(self._source.path, self._entry.storage_options):
            page = addresses.shown(held.address)
            site = page.partition("://")[0]
            clip = Clip(site, f"{page}@{held.version}", page, license=self._source.license, bytes=held.size)
            done = self._done(clip.site, clip.clip_id)
            reason = "" if done and done.row is not None else self._unfit(clip, done)
            self._taken += not reason
            named = done.source_id if done else pages.get(page) or self._name_below(held.name, page)
            self._rows[clip.site, clip.clip_id] = self._row(clip, reason, examined=True, named=named)
        there = {row["page"] for row in self._rows.values()}
        gone = [row for row in self._before.values() if row["page"] not in there]
        return [*self._rows.values(), *(self._left(row, self._done(row["site"], row["clip_id"])) for row in gone)]

    def _unfit(self, clip: Clip, done: downloads.Download | None) -> str:
        limits = self._entry.limits
        if done:
            return "forgotten: it was fetched once, then removed"
        if PurePosixPath(clip.page).suffix.lower() not in SUFFIXES:
            return f"ending: no video's; expected one of {', '.join(sorted(SUFFIXES))}"
        if not clip.bytes:
            return "size: the file is empty (0 bytes)"
        if self._taken >= limits.videos_at_most:
            return self._full()
        return clips.refusal(clip, (self._source.license,), limits)

    def _name_below(self, name: str, page: str) -> str:
        """Name a file of a prefix as one of a folder is named; a second one of that name gets a hash."""
        room = ids.ID_LENGTH_AT_MOST - len(self._source.source_id) - 1
        stem = str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name
        own = f"{self._source.source_id}-{ids.make_slug(stem, room)}"
        return self._ours(clips.source_id(self._source.source_id, stem, page, {own}) if self._is_named(own) else own)

    # --- both ---

    def _done(self, site: str, clip_id: str) -> downloads.Download | None:
        return downloads.find(self._store, site, clip_id) if downloads.name(site, clip_id) in self._known else None

    def _own(self, done: downloads.Download) -> bool:
        return self._catalog.entry_of(done.source_id) == self._source.source_id

    def _judged(self, clip: Clip) -> str:
        allowed = (*self._entry.licenses, *([self._source.license] if self._source.license else []))
        return clips.refusal(clip, allowed, self._entry.limits)

    def _is_named(self, name: str) -> bool:
        return name in self._named or name in self._catalog.sources

    def _full(self) -> str:
        return f"number: {self._taken} are taken; videos_at_most: {self._entry.limits.videos_at_most}"

    def _row(self, clip: Clip, reason: str, *, examined: bool, named: str = "") -> Row:
        key = (clip.site, clip.clip_id)
        named = named or (self._before[key]["source_id"] if key in self._before else self._name(clip))
        self._named[named] = key
        return {
            "source_id": named,
            "site": clip.site,
            "clip_id": clip.clip_id,
            "page": clip.page,
            "license": clip.license,
            "seconds": clip.seconds,
            "bytes": clip.bytes,
            "examined": examined,
            "reason": reason,
        }

    def _name(self, clip: Clip) -> str:
        others = {*self._named, *self._catalog.sources}
        return self._ours(clips.source_id(self._source.source_id, clip.clip_id, clip.site, others))

    def _ours(self, named: str) -> str:
        """Keep a name that reads like another source's clip out of its way: `walks-2-x` when there is a source `walks-2`."""
        if self._catalog.entry_of(named) == self._source.source_id:
            return named
        return f"{self._source.source_id}-{ids.hash_name(named)}"


def _clip(row: Row) -> Clip:
    said = {name: row[name] for name in ("site", "clip_id", "page", "license")}
    return Clip(**said, seconds=math.nan if row["seconds"] is None else float(row["seconds"]), bytes=int(row["bytes"]))


def _tell(source: Source, rows: list[Row], before: Mapping[Key, Row]) -> None:
    """Say what is not taken and was not said before; many of one kind are counted."""
    fresh = [
        row for row in rows if row["reason"] and before.get((row["site"], row["clip_id"]), {}).get("reason") != row["reason"]
    ]
    kinds = Counter(row["reason"].partition(":")[0] for row in fresh)
    for row in fresh:
        if kinds[row["reason"].partition(":")[0]] <= _TOLD_ONE_BY_ONE:
            _log.warning("%s: %s is not taken: %s", source.source_id, row["page"], row["reason"])
    for kind, count in sorted(kinds.items()):
        if count > _TOLD_ONE_BY_ONE:
            _log.warning(
                "%s: %d are not taken: %s; see tables/listings/%s.parquet", source.source_id, count, kind, source.source_id
            )
    _log.info("%s: %d listed, %d taken", source.source_id, len(rows), sum(not row["reason"] for row in rows))
