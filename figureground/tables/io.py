"""The tables between the stages: what each column is, reading, checking and writing them.

One parquet file per stage and source, written once and replaced whole. Its metadata keeps two things beside the rows:
``fingerprint``, a hash of everything the stage depended on, and ``facts``, what the stage found out that belongs to
no single row (for example that a video ended early). Two runs over the same input give the same bytes.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_type_hints

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import StoreError
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables import evicted, formats, statistics
from figureground.tables.fingerprints import Fingerprint
from figureground.tables.rows import ROW_CLASSES, AnyRow, Column, Row, to_tuple
from figureground.types import TableRef


@dataclass(frozen=True, slots=True)
class ColumnSchema:
    """A column as it is in the file: its name, Arrow type, unit ("" without one) and meaning.

    ``absent`` is read when a file is older than the column; None means that every file has it.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    absent: str | bytes | None = None


_ARROW: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    tuple[str, ...]: pa.list_(pa.string()),
    tuple[float, ...]: pa.list_(pa.float32()),
    tuple[tuple[float, ...], ...]: pa.list_(pa.list_(pa.float32())),
}


def _columns(row_class: type[Row]) -> tuple[ColumnSchema, ...]:
    hints = get_type_hints(row_class, include_extras=True)
    return tuple(_column(field, hints[field.name]) for field in dataclasses.fields(cast(Any, row_class)))


def _column(field: dataclasses.Field[Any], annotation: Any) -> ColumnSchema:
    about: Column = annotation.__metadata__[0]
    absent = None if field.default is dataclasses.MISSING else field.default
    return ColumnSchema(field.name, _ARROW[annotation.__origin__], about.unit, about.meaning, absent)


SCHEMAS: dict[str, tuple[ColumnSchema, ...]] = {stage: _columns(row_class) for stage, row_class in ROW_CLASSES.items()}
"""The columns of each table, made from its row class."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows with what is known about all of them."""

    rows: pd.DataFrame
    facts: Mapping[str, Any]


def name(stage: str, source_id: str) -> str:
    """Name a table in the storage.

    >>> name("frames", "park")
    'tables/frames/park.parquet'
    """
    return f"tables/{stage}/{source_id}.parquet"


def write(
    store: Store,
    stage: str,
    source_id: str,
    rows: pd.DataFrame,
    *,
    fingerprint: Fingerprint | str,
    facts: Mapping[str, Any] | None = None,
) -> TableRef:
    """Write one table, replacing the one before it as a whole.

    Parameters
    ----------
    store
        Where.
    stage, source_id
        Which table.
    rows
        Exactly the columns of ``SCHEMAS[stage]``, in any order. An empty frame without columns means no rows.
    fingerprint
        See `figureground.tables.fingerprints`.
    facts
        What belongs to no single row; anything `json.dumps` can write.

    Raises
    ------
    StoreError
        When columns are missing, unknown or of another type, or the file cannot be written.
    """
    expected = [column.name for column in SCHEMAS[stage]]
    if len(rows.columns) == 0 and len(rows) == 0:
        rows = pd.DataFrame({column: [] for column in expected})
    rows = rows.assign(**{name: absent for name, absent in _absent(stage).items() if name not in rows})
    if sorted(rows.columns) != sorted(expected):
        raise StoreError(
            f"table {name(stage, source_id)} needs the columns {', '.join(expected)}; found {', '.join(map(str, rows.columns))}"
        )
    return _write(store, stage, source_id, rows[expected].to_dict("records"), str(fingerprint), facts or {})


def write_rows(
    store: Store,
    stage: str,
    source_id: str,
    rows: Iterable[Row],
    *,
    fingerprint: Fingerprint | str,
    facts: Mapping[str, Any] | None = None,
) -> TableRef:
    """Write one table from its rows, replacing the one before it as a whole; the bytes are those that `write` gives.

    Parameters
    ----------
    store
        The storage.
    stage, source_id
        Which table.
    rows
        Rows of ``ROW_CLASSES[stage]``.
    fingerprint
        See `figureground.tables.fingerprints`.
    facts
        What belongs to no single row; anything that `json.dumps` can write.

    Raises
    ------
    StoreError
        When a row is of another table or holds a value of the wrong type, or the file cannot be written.
    """
    row_class, records = ROW_CLASSES[stage], []
    columns = [column.name for column in SCHEMAS[stage]]
    for row in rows:
        if not isinstance(row, row_class):
            raise StoreError(
                f"table {name(stage, source_id)} holds rows of {row_class.__name__}; found a {type(row).__name__}"
            )
        records.append({column: getattr(row, column) for column in columns})
    return _write(store, stage, source_id, records, str(fingerprint), facts or {})


def _write(
    store: Store, stage: str, source_id: str, records: Sequence[Mapping[Any, Any]], fingerprint: str, facts: Mapping[str, Any]
) -> TableRef:
    metadata = {"fingerprint": fingerprint, "facts": json.dumps(dict(facts), sort_keys=True)}
    metadata["seal"] = _seal(metadata["fingerprint"].encode(), metadata["facts"].encode())
    try:
        table = pa.Table.from_pylist(records, schema=_arrow_schema(stage).with_metadata(metadata))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StoreError(f"table {name(stage, source_id)} holds a value of the wrong type: {error}") from error
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    content = buffer.getvalue()
    formats.mark_new(store)
    store.write(name(stage, source_id), content)
    statistics.keep(store, stage, source_id, records, facts)
    return TableRef(stage, source_id, name(stage, source_id), sha256(content), len(records))


def read(store: Store, ref: TableRef) -> Table:
    """Read a table and check that it is the one that was meant and of its stage's schema.

    Raises
    ------
    StoreError
        When it is missing, damaged or of another schema.
    """
    return _table(_parse(store.read(ref.file, ref.sha256), ref.stage, ref.file))


def read_rows(store: Store, ref: TableRef, row_class: type[AnyRow]) -> list[AnyRow]:
    """Read a table as its rows, in order.

    Parameters
    ----------
    store
        The storage.
    ref
        The table.
    row_class
        The row class of that table.

    Raises
    ------
    StoreError
        When it is missing, damaged, of another schema or of another table.
    """
    return list(iterate_rows(store, ref, row_class))


def iterate_rows(store: Store, ref: TableRef, row_class: type[AnyRow]) -> Iterator[AnyRow]:
    """Read a table as its rows, in order, and make each row only when it is its turn.

    Raises
    ------
    StoreError
        At the first row, as `read_rows`.
    """
    if ref.stage != row_class.stage:
        raise StoreError(f"{ref.file} is a table of {ref.stage}; {row_class.__name__} is a row of {row_class.stage}")
    yield from _rows(_parse(store.read(ref.file, ref.sha256), ref.stage, ref.file), row_class)


def read_facts(store: Store, ref: TableRef) -> dict[str, Any]:
    """Read the facts of a table without its rows.

    Raises
    ------
    StoreError
        When it is missing, damaged or no parquet file.
    """
    try:
        schema = pq.read_schema(io.BytesIO(store.read(ref.file, ref.sha256)))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"{ref.file} is not a readable parquet table: {error}; run the stage that makes it again") from error
    facts: dict[str, Any] = json.loads((schema.metadata or {}).get(b"facts", b"{}"))
    return facts


def _rows(table: pa.Table, row_class: type[AnyRow]) -> Iterator[AnyRow]:
    """Make the rows of a table that was read; lists become tuples."""
    names = table.column_names
    for values in zip(*(_values(table.column(column)) for column in names), strict=True):
        yield row_class(**dict(zip(names, values, strict=True)))


def _values(column: pa.ChunkedArray) -> Iterable[Any]:
    values = column.to_pylist()
    return map(to_tuple, values) if pa.types.is_list(column.type) else values


def dicts(rows: pd.DataFrame, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Give rows as pandas' ``to_dict("records")`` does, in a third of its time."""
    for values in zip(*(rows[column].tolist() for column in columns), strict=True):
        yield dict(zip(columns, values, strict=True))


def records(store: Store, ref: TableRef) -> "Records":
    """Read a table of which few rows are wanted: each becomes Python only when it is asked for.

    Raises
    ------
    StoreError
        As `read`.
    """
    return Records(_parse(store.read(ref.file, ref.sha256), ref.stage, ref.file))


class Records(Mapping[str, dict[str, Any]]):
    """A table's rows by their first column, in the table's order.

    Examples
    --------
    >>> rows = Records(pa.table({"crop_id": ["a", "b"], "score": [0.5, 0.25]}))
    >>> list(rows), rows["b"], "c" in rows
    (['a', 'b'], {'crop_id': 'b', 'score': 0.25}, False)
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._places = {str(key): number for number, key in enumerate(table.column(0).to_pylist())}

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._table.slice(self._places[key], 1).to_pylist()[0]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def column(self, name: str) -> list[Any]:
        """Give one column's values."""
        return self._table.column(name).to_pylist()  # type: ignore[no-any-return]


def find(store: Store, stage: str, source_id: str) -> TableRef | None:
    """Find the table a stage left for a source, or None when there is none that can be read."""
    opened = _open(store, stage, source_id)
    return opened[0] if opened else None


def latest(store: Store, stage: str, source_id: str) -> Table | None:
    """Read the table a stage left for a source, or None when there is none that can be read."""
    opened = _open(store, stage, source_id)
    return _table(opened[1]) if opened else None


def fresh(store: Store, stage: str, source_id: str, fingerprint: Fingerprint | str) -> TableRef | None:
    """Find a table that is still right: same fingerprint, readable, and every file it names verifies or was dropped on purpose.

    Returns
    -------
    TableRef or None
        None means that the stage has to run.
    """
    opened = _open(store, stage, source_id)
    if opened is None or not _matches(fingerprint, opened[2]):
        return None
    rows, away = opened[1], evicted.listed(store, stage, source_id, opened[0].sha256)
    if "file" in rows.column_names and not all(
        store.verifies(file, digest) or (file in away and not store.exists(file))
        for file, digest in zip(rows["file"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
        if file
    ):
        return None
    return opened[0]


def recorded_fingerprint(store: Store, stage: str, source_id: str) -> str | None:
    """Give the fingerprint in a table's file, or None when there is no table that can be read."""
    opened = _open(store, stage, source_id)
    return opened[2] if opened else None


def _matches(fingerprint: Fingerprint | str, recorded: str) -> bool:
    return fingerprint.matches(recorded) if isinstance(fingerprint, Fingerprint) else fingerprint == recorded


def sources(store: Store, stage: str) -> list[str]:
    """List the sources that have a table of this stage, sorted."""
    folder = f"tables/{stage}"
    return [file[len(folder) + 1 : -len(".parquet")] for file in store.names(folder) if file.endswith(".parquet")]


def _open(store: Store, stage: str, source_id: str) -> tuple[TableRef, pa.Table, str] | None:
    file = name(stage, source_id)
    if not store.exists(file):
        return None
    content = store.read(file)
    try:
        table = _parse(content, stage, file)
    except StoreError:
        return None  # a damaged table is one that has to be made again
    mark = (table.schema.metadata or {}).get(b"fingerprint", b"").decode(errors="replace")
    return TableRef(stage, source_id, file, sha256(content), len(table)), table, mark


def _parse(content: bytes, stage: str, file: str) -> pa.Table:
    try:
        table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:  # one changed bit can be any of these
        raise StoreError(f"{file} is not a readable parquet table: {error}; run the stage that makes it again") from error
    metadata = table.schema.metadata or {}
    sealed = _seal(metadata.get(b"fingerprint", b""), metadata.get(b"facts", b""))
    if b"fingerprint" not in metadata or metadata.get(b"seal", sealed.encode()) != sealed.encode():
        raise StoreError(f"{file} is damaged: what it says of its rows was changed; run the stage that makes it again")
    expected = _arrow_schema(stage)
    for column, absent in _absent(stage).items():
        if column not in table.schema.names:  # the table is older than the column
            field = expected.field(column)
            table = table.append_column(field, pa.repeat(pa.scalar(absent, field.type), len(table)))
    if sorted(table.schema.names) == sorted(expected.names):
        table = table.select(expected.names)
    if table.schema.remove_metadata() != expected:
        raise StoreError(
            f"{file} has another schema than this version writes; expected {', '.join(expected.names)}, "
            f"found {', '.join(table.schema.names)}; run the stage that makes it again"
        )
    return table


def _seal(fingerprint: bytes, facts: bytes) -> str:
    """Hash what parquet's own checksums, those of its pages, leave out."""
    return hashlib.sha256(fingerprint + b"\n" + facts).hexdigest()


def _table(table: pa.Table) -> Table:
    facts = json.loads((table.schema.metadata or {}).get(b"facts", b"{}"))
    return Table(pd.DataFrame({column: table[column].to_pylist() for column in table.column_names}), facts)


def _absent(stage: str) -> dict[str, str | bytes]:
    """Give the columns that a row may lack, and what is read then."""
    return {column.name: column.absent for column in SCHEMAS[stage] if column.absent is not None}


def _arrow_schema(stage: str) -> pa.Schema:
    return pa.schema([pa.field(column.name, column.type) for column in SCHEMAS[stage]])
