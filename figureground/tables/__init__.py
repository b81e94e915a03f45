"""The tables: a row class for each, reading and writing them, and their statistics.

There is one parquet file for each stage and source. What needs pandas or pyarrow comes from `figureground.tables.io` when it is
first used, because `figureground status` counts rows without them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from figureground.tables.fingerprints import Fingerprint, fingerprint
from figureground.tables.rows import (
    ROW_CLASSES,
    BackgroundRow,
    CompositeRow,
    CropRow,
    FrameRow,
    GivenIdRow,
    LabelRow,
    ListingRow,
    MatteRow,
    MeasureRow,
    PersonRow,
    Row,
    ScoreRow,
    SignatureRow,
    TaskRow,
    VerdictRow,
    VideoRow,
)

if TYPE_CHECKING:
    from figureground.tables.io import (
        SCHEMAS,
        Records,
        Table,
        dicts,
        find,
        fresh,
        iterate_rows,
        latest,
        name,
        read,
        read_facts,
        read_rows,
        recorded_fingerprint,
        records,
        sources,
        write,
        write_rows,
    )

__all__ = [
    "ROW_CLASSES",
    "SCHEMAS",
    "BackgroundRow",
    "CompositeRow",
    "CropRow",
    "Fingerprint",
    "FrameRow",
    "GivenIdRow",
    "LabelRow",
    "ListingRow",
    "MatteRow",
    "MeasureRow",
    "PersonRow",
    "Records",
    "Row",
    "ScoreRow",
    "SignatureRow",
    "Table",
    "TaskRow",
    "VerdictRow",
    "VideoRow",
    "dicts",
    "find",
    "fingerprint",
    "fresh",
    "iterate_rows",
    "latest",
    "name",
    "read",
    "read_facts",
    "read_rows",
    "recorded_fingerprint",
    "records",
    "sources",
    "write",
    "write_rows",
]


def __getattr__(attribute: str) -> Any:
    if attribute not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    return getattr(importlib.import_module("figureground.tables.io"), attribute)
