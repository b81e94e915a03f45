"""Makes `docs/tables.md` from the row classes."""

import inspect
import re
import sys
from pathlib import Path

from figureground.tables.io import SCHEMAS, ColumnSchema
from figureground.tables.rows import ROW_CLASSES

_INTRODUCTION = """\
# Tables

One parquet file for each stage and source, `tables/<stage>/<source>.parquet`. It is written once and replaced as a whole, and
the same input gives the same bytes. Its metadata has `fingerprint` (a hash of everything that the stage depends on) and `facts`
(JSON: what belongs to no single row). Any parquet reader opens them: `pandas.read_parquet("data/tables/crops/park.parquet")`.

This page is made from the row classes in `figureground/tables/rows.py` by
`python -m figureground.tables.documentation docs/tables.md`.
"""


def render() -> str:
    """Write the page: for each table what it holds and its columns."""
    return "\n".join([_INTRODUCTION, *(_section(stage) for stage in ROW_CLASSES)])


def _section(stage: str) -> str:
    about = _markdown(inspect.getdoc(ROW_CLASSES[stage]) or "")
    rows = [_row(column) for column in SCHEMAS[stage]]
    return "\n".join([f"## {stage}", "", about, "", "| column | type | meaning |", "|---|---|---|", *rows, ""])


def _row(column: ColumnSchema) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"| `{column.name}` | {column.type} | {column.meaning}{unit} |"


def _markdown(text: str) -> str:
    """Turn ``names`` into code and pages of the documentation into links."""
    linked = re.sub(r"docs/((\w+)\.md(?:#(\w+))?)", lambda page: f"[{page[3] or page[2]}]({page[1]})", text)
    return linked.replace("``", "`")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
