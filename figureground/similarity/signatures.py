"""Pictures' signatures, kept beside the crops under the pictures' hashes, so that a release need not decode a picture again.

What a release claims rests on its pictures: `figureground verify` computes every signature from the files. Only the look that
`figureground release` takes at what it has just written knows pictures again by their hashes.
"""

from collections.abc import Mapping

import pandas as pd

from figureground import tables
from figureground.similarity.duplicates import METHOD, Signature, pack, unpack_all
from figureground.storage.store import Store

VERSION = 1
"""Raised by 1 when the signatures change for the same images."""

_STAGE = "signatures"


def keep(store: Store, source_id: str, found: Mapping[str, Signature]) -> None:
    """Write a source's signatures, replacing those before.

    Parameters
    ----------
    store
        Where.
    source_id
        Whose pictures.
    found
        The picture's sha256 to its signature.

    Raises
    ------
    StoreError
        When the storage cannot be written to.
    """
    rows = [{"sha256": digest, "signature": pack(one)} for digest, one in sorted(found.items())]
    tables.write(store, _STAGE, source_id, pd.DataFrame(rows), fingerprint=_mark())


def of_source(store: Store, source_id: str) -> dict[str, Signature]:
    """Give what is kept of a source's pictures, by their sha256; nothing of those nobody looked at with this method."""
    ref = tables.fresh(store, _STAGE, source_id, _mark())
    if ref is None or not ref.rows:
        return {}
    rows = tables.read(store, ref).rows
    return dict(zip(rows["sha256"], unpack_all(list(rows["signature"])), strict=True))


def _mark() -> tables.Fingerprint:
    return tables.fingerprint(_STAGE, [], version=VERSION, method=METHOD)
