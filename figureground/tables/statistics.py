"""How many rows of which kind each table has: noted by who writes it, else read from its footer and single columns.

A note lies in ``.locks/tallies`` and counts as long as the table has the size and time it names. Opening parquet takes a
second of imports, so `figureground status` does it only for tables of another machine or whose writer was killed just then.
pandas and Prefect are never needed.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from figureground import documents
from figureground.errors import StoreError
from figureground.storage.store import Store

_log = logging.getLogger(__name__)

STAGES = ("videos", "frames", "crops", "measures", "scores", "verdicts", "mattes", "tasks", "labels")
"""Those of a source, in their order."""

_COLUMNS = {"frames": ("reason",), "verdicts": ("kept", "reason"), "labels": ("verdict",)}
_FACTS = ("people", "too_small", "truncated", "needs_person", "promised", "decoded")
_VERSION = 1

Tally = dict[str, Any]
"""``rows``, ``changed`` (when, s since 1970), the table's own small facts, and counts by value of some columns."""


def keep(store: Store, stage: str, source_id: str, records: Sequence[Mapping[Any, Any]], facts: Mapping[str, Any]) -> None:
    """Note what a table holds that was just written; on a storage of this machine only.

    Parameters
    ----------
    store
        The storage.
    stage, source_id
        Which table.
    records
        Its rows; only the columns that are counted are read.
    facts
        The table's own.

    Raises
    ------
    StoreError
        When the note cannot be written.
    """
    from figureground.storage.locks import write_note

    if not store.local_only or stage not in STAGES:
        return
    file = store.path(f"tables/{stage}/{source_id}.parquet").stat()
    counted = {name: [record[name] for record in records] for name in _COLUMNS.get(stage, ())}
    write_note(_note(store, stage, source_id), _tally(len(records), file.st_size, file.st_mtime, facts, counted))


def forget(store: Store, source_id: str) -> None:
    """Remove what is noted of a source's tables."""
    for stage in STAGES:
        _note(store, stage, source_id).unlink(missing_ok=True)


def _note(store: Store, stage: str, source_id: str) -> Path:
    return store.path(f".locks/tallies/{stage}/{source_id}.json")


def _tally(rows: int, size: int, changed: float, facts: Any, columns: Mapping[str, Iterable[Any]]) -> Tally:
    counts = {name: dict(Counter(map(str, values))) for name, values in columns.items()}
    small = {name: facts[name] for name in _FACTS if name in facts}
    return {"rows": rows, "bytes": size, "changed": changed, "facts": small, "counts": counts}


class Tallies:
    """What is known of a storage's tables.

    Parameters
    ----------
    store
        The storage.
    cache
        A local file that remembers tables which have not changed.
    """

    def __init__(self, store: Store, cache: Path) -> None:
        self._store, self._cache = store, cache
        self._known: dict[str, Tally] = _remembered(cache)
        self._found: dict[str, Tally] = {}

    def read(self) -> dict[str, dict[str, Tally]]:
        """Give each source's tallies by stage; a table that is just being replaced may be missing."""
        sources: dict[str, dict[str, Tally]] = {}
        for stage in STAGES:
            for source_id, tally in self._of_stage(stage):
                sources.setdefault(source_id, {})[stage] = tally
        return dict(sorted(sources.items()))

    def released(self) -> dict[str, int]:
        """Count each source's pictures in the newest release."""
        manifests = [(path.stat().st_mtime, path) for path in self._store.path("releases").glob("*/manifest.json")]
        if not manifests:
            return {}
        changed, path = max(manifests)
        known = self._known.get(f"releases/{path.parent.name}")
        if known is None or known["changed"] != changed:
            known = _counted(path, changed)
        self._found[f"releases/{path.parent.name}"] = known
        return {source: int(count) for source, count in known["counts"].items()}

    def remember(self) -> None:
        """Keep what was read for the next time, when there is anything new; a storage that is read-only is read again then."""
        from figureground.storage.locks import write_note

        if self._found != self._known:
            try:
                write_note(self._cache, {"version": _VERSION, "tables": self._found})
            except StoreError as error:
                _log.info("the statistics are not kept: %s", error)

    def _of_stage(self, stage: str) -> Iterator[tuple[str, Tally]]:
        for file, size, changed in self._store.list_sizes(f"tables/{stage}"):
            if not file.endswith(".parquet"):
                continue
            source_id = file.rpartition("/")[2].removesuffix(".parquet")
            known = self._known.get(file)
            if not _is_of(known, size, changed):
                known = self._noted(stage, source_id, size, changed) or self._opened(stage, file, size, changed)
            if known is not None:
                self._found[file] = known
                yield source_id, known

    def _noted(self, stage: str, source_id: str, size: int, changed: float) -> Tally | None:
        """Read what the table's writer noted, if it is of this very table."""
        try:
            tally = documents.parse_json(_note(self._store, stage, source_id).read_text(encoding="utf-8"))
            return tally if _is_of(tally, size, changed) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _opened(self, stage: str, file: str, size: int, changed: float) -> Tally | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self._store.open(file) as handle:
                table = pq.ParquetFile(handle)
                facts = documents.parse_json((table.schema_arrow.metadata or {}).get(b"facts", b"{}"))
                columns = [name for name in _COLUMNS.get(stage, ()) if name in table.schema_arrow.names]
                read = table.read(columns=columns).to_pydict() if columns else {}
                rows = table.metadata.num_rows
        except (OSError, pa.ArrowInvalid, ValueError):
            return None  # gone, or damaged: the next run makes it again
        return _tally(rows, size, changed, facts, read)


def _is_of(tally: Tally | None, size: int, changed: float) -> bool:
    return tally is not None and (tally["bytes"], tally["changed"]) == (size, changed)


def _counted(path: Path, changed: float) -> Tally:
    try:
        samples = documents.parse_json(path.read_bytes())["samples"].values()
        return {"changed": changed, "counts": dict(Counter(str(sample["source"]) for sample in samples))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"changed": changed, "counts": {}}  # `figureground verify` says what is wrong with it


def _remembered(cache: Path) -> dict[str, Tally]:
    try:
        content = documents.parse_json(cache.read_text(encoding="utf-8"))
        return dict(content["tables"]) if content["version"] == _VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
