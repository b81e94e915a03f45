"""The format of a storage: a marker says which code may read its tables.

Format 1 has no marker: its fingerprints held hashes of the source code (`figureground.tables.format_1`). Format 2 has versions.
"""

import json

from figureground import documents
from figureground.errors import StoreError
from figureground.storage.store import Store

FORMAT = 2
MARKER = "tables/format.json"


def read_format(store: Store) -> int | None:
    """Read the format of a storage.

    Returns
    -------
    int or None
        1 when there are tables without a marker; None when there are no tables yet.

    Raises
    ------
    StoreError
        When the marker cannot be read, or names a format that this version does not know.
    """
    if not store.exists(MARKER):
        return 1 if _has_tables(store) else None
    content = store.read(MARKER)
    try:
        number = documents.parse_json(content)["format"]
    except (ValueError, KeyError, TypeError):
        number = None
    if number != FORMAT:
        shown = content[:60].decode(errors="replace")
        raise StoreError(
            f'{MARKER} in {store.root}: expected {{"format": {FORMAT}}}, found {shown!r}. The file is damaged, or a newer '
            "figureground wrote this storage; install that version"
        )
    return FORMAT


def require_current(store: Store) -> None:
    """Refuse a storage whose tables have another format.

    Raises
    ------
    StoreError
        When there are tables of another format; the message says what to do.
    """
    if read_format(store) == 1:
        raise StoreError(
            f"storage {store.root} was written by an older figureground: expected format {FORMAT} in {MARKER}, found tables "
            "without it; run `figureground upgrade` once, it keeps all files, tables, tasks and labels"
        )


def write_marker(store: Store) -> None:
    """Write the marker of this version's format."""
    store.write(MARKER, json.dumps({"format": FORMAT}).encode() + b"\n")


def mark_new(store: Store) -> None:
    """Write the marker before the first table; a storage that has tables without one keeps its format."""
    if not store.exists(MARKER) and not _has_tables(store):
        write_marker(store)


def _has_tables(store: Store) -> bool:
    return any(name.endswith(".parquet") for name in store.names("tables"))
