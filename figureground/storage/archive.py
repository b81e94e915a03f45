"""What releases are made of, kept under its hash, so that a release can be cut again after its labels were drawn anew.

``archive/<first two digits>/<sha256>`` is a second name of the same bytes: nothing is copied where the disk can link, and the
stages that write anew rename a new file into place, which leaves the old bytes to the archive.
"""

import os
from pathlib import Path

from figureground.storage.store import Store


def name(sha256: str) -> str:
    """Give where content of this hash is kept.

    >>> name("ab12")
    'archive/ab/ab12'
    """
    return f"archive/{sha256[:2]}/{sha256}"


def keep(store: Store, file: str, sha256: str) -> None:
    """Keep a stored file under its hash; what is kept already is left alone.

    Parameters
    ----------
    store
        The storage; one that cannot link gets a copy.
    file
        The file's name in the storage; its content was verified.
    sha256
        Its hash.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    if not store.local_only:
        if not store.exists(name(sha256)):
            store.write(name(sha256), store.read(file, sha256))
        return
    try:
        _link(store.place(file), store.place(name(sha256)))
    except FileExistsError:
        return
    except OSError:
        store.write(name(sha256), store.read(file, sha256))  # another disk, or one that cannot link


def _link(file: str, place: str) -> None:
    """Make the folder when it is not there: asking first would cost more than linking does."""
    try:
        os.link(file, place)
    except FileNotFoundError:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        os.link(file, place)


def remove(store: Store, sha256: str) -> bool:
    """Remove what is kept under a hash and tell whether it was there.

    Raises
    ------
    StoreError
        When it cannot be removed.
    """
    kept = store.exists(name(sha256))
    store.remove(name(sha256))
    return kept
