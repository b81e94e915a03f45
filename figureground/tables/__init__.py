"""The tables: which columns each has, how they are read and written, and their statistics.

One parquet file per stage and source. The names below come from `figureground.tables.io`, which imports pandas, on first use:
`figureground status` counts rows without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from figureground.tables.io import (
        SCHEMAS,
        Records,
        Table,
        dicts,
        find,
        fingerprint,
        fresh,
        latest,
        name,
        read,
        records,
        sources,
        write,
    )

__all__ = [
    "SCHEMAS",
    "Records",
    "Table",
    "dicts",
    "find",
    "fingerprint",
    "fresh",
    "latest",
    "name",
    "read",
    "records",
    "sources",
    "write",
]


def __getattr__(attribute: str) -> Any:
    if attribute not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    return getattr(importlib.import_module("figureground.tables.io"), attribute)
