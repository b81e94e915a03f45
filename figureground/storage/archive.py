"""Files that releases are made of, kept under their hash, so that a release can be made again after its labels changed.

``archive/<first two digits>/<sha256>`` is a second name (a hard link) of the same bytes, so nothing is copied where the disk
can link. A stage that writes a file again renames a new file into place, and the archive keeps the old bytes.
"""

import os
from pathlib import Path

from figureground.storage.store import Store


def name(sha256: str) -> str:
    """Give the archived file's name in the storage.

    >>> name("ab12")
    'archive/ab/ab12'
    """
    return f"archive/{sha256[:2]}/{sha256}"


def keep(store: Store, file: str, sha256: str) -> None:
    """Keep a stored file under its hash; one that is kept already stays as it is.

    Parameters
    ----------
    store
        The storage; one that cannot link files gets a copy.
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
        _link(store.path(file), store.path(name(sha256)))
    except FileExistsError:
        return
    except OSError:
        store.write(name(sha256), store.read(file, sha256))  # another disk, or one that cannot link


def _link(file: Path, archived: Path) -> None:
    """Link first and make the folder only when that fails: looking for the folder would cost more than linking does."""
    try:
        os.link(file, archived)
    except FileNotFoundError:
        archived.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, archived)


def remove(store: Store, sha256: str) -> bool:
    """Remove the file that is kept under a hash, and tell whether there was one.

    Raises
    ------
    StoreError
        When it cannot be removed.
    """
    existed = store.exists(name(sha256))
    store.remove(name(sha256))
    return existed
