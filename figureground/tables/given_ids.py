"""Which id each file of a source was given: no stage can make that again, so it is remembered apart from what is made."""

from collections.abc import Mapping

from figureground.errors import StoreError
from figureground.ids import escape_name
from figureground.storage.store import Store
from figureground.tables.io import find, name, read_rows, write_rows
from figureground.tables.rows import GivenIdRow


def read(store: Store, source_id: str) -> dict[str, str] | None:
    """Give the ids of a source's files by their paths, as `figureground.ids.escape_name` writes them.

    Parameters
    ----------
    store
        The storage.
    source_id
        The source, or the catalog's entry of a folder or glob of videos.

    Returns
    -------
    dict or None
        None when there is no such table: the source is new, or its storage older than the table.

    Raises
    ------
    StoreError
        When the table is damaged.
    """
    file = name(GivenIdRow.stage, source_id)
    if not store.exists(file):
        return None
    ref = find(store, GivenIdRow.stage, source_id)
    if ref is None:
        raise StoreError(
            f"{file} in {store.root} is damaged: it says which id each file of {source_id} was given. Bring it back from a "
            "copy, or remove it: then what was ingested keeps its ids, and files that are away now may come back under others"
        )
    return {row.path: row.item_id for row in read_rows(store, ref, GivenIdRow)}


def write(store: Store, source_id: str, given: Mapping[str, str]) -> None:
    """Remember the ids of a source's files; nothing is written when they are remembered already.

    Raises
    ------
    StoreError
        When the table is damaged or cannot be written.
    """
    if read(store, source_id) != given:
        rows = [GivenIdRow(path=path, item_id=item_id) for path, item_id in sorted(given.items())]
        write_rows(store, GivenIdRow.stage, source_id, rows, fingerprint="")


def escape_paths(given: Mapping[str, str]) -> dict[str, str]:
    """Give ids by paths as the table holds them."""
    return {escape_name(path): item_id for path, item_id in given.items()}
