"""The table of images' signatures, by the images' hashes, so that a release does not decode each image again.

The proof of a release does not rest on this table: `figureground verify` computes every signature from the files. Only
`figureground release` reads it, for images that it has just written and whose hashes it knows.
"""

from collections.abc import Mapping

import pandas as pd

from figureground import tables
from figureground.similarity.duplicates import METHOD, Signature, pack, unpack_all
from figureground.storage.store import Store

VERSION = 1
"""Raised by 1 when the signatures change for the same images."""

_STAGE = "signatures"


def write(store: Store, source_id: str, signatures: Mapping[str, Signature]) -> None:
    """Write a source's signatures, replacing those before.

    Parameters
    ----------
    store
        The storage.
    source_id
        The source of the images.
    signatures
        Each image's signature by the image's sha256.

    Raises
    ------
    StoreError
        When the storage cannot be written to.
    """
    rows = [{"sha256": digest, "signature": pack(signature)} for digest, signature in sorted(signatures.items())]
    tables.write(store, _STAGE, source_id, pd.DataFrame(rows), fingerprint=_fingerprint())


def read(store: Store, source_id: str) -> dict[str, Signature]:
    """Read a source's signatures by the images' sha256; none when the table is missing or of another method."""
    ref = tables.fresh(store, _STAGE, source_id, _fingerprint())
    if ref is None or not ref.rows:
        return {}
    rows = tables.read(store, ref).rows
    return dict(zip(rows["sha256"], unpack_all(list(rows["signature"])), strict=True))


def _fingerprint() -> tables.Fingerprint:
    return tables.fingerprint(_STAGE, [], version=VERSION, method=METHOD)
