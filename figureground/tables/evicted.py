"""Which of a table's files were dropped to make room: they count as there, because they can be made again to the same bytes.

The list stands beside the files' table and holds for that table only: one that was made anew has none.
"""

from collections.abc import Collection

from figureground.storage.store import Store


def name(stage: str, source_id: str) -> str:
    """Name the list in the storage.

    >>> name("frames", "park")
    'tables/frames/park.dropped'
    """
    return f"tables/{stage}/{source_id}.dropped"


def listed(store: Store, stage: str, source_id: str, table_sha256: str) -> frozenset[str]:
    """List the files that were dropped.

    Parameters
    ----------
    store
        Where.
    stage, source_id
        Whose files.
    table_sha256
        Hash of the table that names them now.

    Returns
    -------
    frozenset of str
        Names in the storage; none when the list is of another table.
    """
    if not store.exists(name(stage, source_id)):
        return frozenset()
    of, *files = store.read(name(stage, source_id)).decode().split("\n")
    return frozenset(files) if of == table_sha256 else frozenset()


def note(store: Store, stage: str, source_id: str, table_sha256: str, files: Collection[str]) -> None:
    """Write the list anew; an empty one is removed. Write it before the files go, and after they are back."""
    if files:
        store.write(name(stage, source_id), "\n".join([table_sha256, *sorted(files)]).encode())
    else:
        store.remove(name(stage, source_id))
