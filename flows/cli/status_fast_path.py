"""The start of the command line, and a fast path for `figureground status`.

Beside an ingest that uses every core, each second of imports becomes several seconds. So a plain `figureground status` is
answered from the catalog's cache (`tasks.operation.catalog_cache`), before typer, rich or the catalog's code are imported.
Every other command goes to `flows.cli.app`.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from figureground.errors import FiguregroundError
from figureground.escaping import escape_json, escape_terminal
from flows.cli.streams import make_streams_tolerant
from tasks.operation import catalog_cache
from tasks.operation.status import as_json as to_json
from tasks.operation.status import read_status

if TYPE_CHECKING:
    from figureground.storage.run_records import RunSummary
    from tasks.operation.status import SourceStatus, StorageStatus

_CATALOG = Path("data_catalog.yaml")
_HEADER = ("source", "made", "kept", "pushed", "waiting", "labelled", "rejected", "released", "now")


def main() -> None:
    """Answer a plain `status` at once; give every other command to the whole command line."""
    make_streams_tolerant()
    arguments = parse_plain_status(sys.argv[1:])
    if arguments is None or (text := _read_and_render(*arguments)) is None:
        from flows.cli.app import main as run_command_line

        run_command_line()
    else:
        sys.stdout.write(text)


def parse_plain_status(arguments: Sequence[str]) -> tuple[Path, bool] | None:
    """Parse the arguments of a plain `status`.

    Parameters
    ----------
    arguments
        The words after ``figureground``.

    Returns
    -------
    tuple or None
        The catalog's file, and whether JSON is wanted; None for any other command and for wrong usage.

    Examples
    --------
    >>> parse_plain_status(["status", "--json"])
    (PosixPath('data_catalog.yaml'), True)
    >>> parse_plain_status(["status", "--help"])
    """
    if not arguments or arguments[0] != "status":
        return None
    remaining, file, as_json = list(arguments[1:]), _CATALOG, False
    while remaining:
        match remaining:
            case ["--json", *rest]:
                as_json, remaining = True, rest
            case ["--catalog", name, *rest]:
                file, remaining = Path(name), rest
            case _:
                return None
    return file, as_json


def _read_and_render(file: Path, as_json: bool) -> str | None:
    cached = catalog_cache.read_cache(file)
    try:
        return None if cached is None else render_status(read_status(cached), as_json=as_json)
    except FiguregroundError:
        return None  # the whole command line reads it again, and reports the error as it reports all errors


def render_status(status: "StorageStatus", *, as_json: bool = False) -> str:
    """Write a status as text or as JSON.

    Parameters
    ----------
    status
        The status of the storage.
    as_json
        Write JSON; else a line per source, then failures, running runs, and the newest run of each flow.
    """
    if as_json:
        return escape_json(json.dumps(to_json(status), indent=2, ensure_ascii=False)) + "\n"
    lines = [*_align([_HEADER, *map(_row, status.sources)])]
    lines += [f"{source.source}: {source.failed}" for source in status.sources if source.failed]
    lines += [f"running: {run}" for run in status.working]
    for run in status.runs:
        lines.append(f"{run.flow}: {run.outcome} {run.ended}, {run.seconds:.0f} s{_count_warnings(run)}")
        lines += [f"{run.flow}: warning: {text}" for text in run.warnings]
    return escape_terminal("\n".join(lines)) + "\n"


def _count_warnings(run: "RunSummary") -> str:
    count = len(run.warnings)
    return f", {count} warning{'s' if count > 1 else ''}" if count else ""


def _align(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _row(source: "SourceStatus") -> Sequence[str]:
    counts = (source.kept, source.pushed, source.waiting, source.answered, source.rejected, source.released)
    return (source.source, _made(source), *(str(count or "") for count in counts), _now(source))


def _made(source: "SourceStatus") -> str:
    pending = source.pending
    rows = {stage.stage: stage.rows for stage in source.stages}
    if len(pending) == len(source.stages):
        return "nothing yet"
    counts_text = f"{rows.get('frames', 0)} frames, {rows.get('crops', 0)} crops"
    return counts_text + (f"; pending: {', '.join(pending)}" if pending else "")


def _now(source: "SourceStatus") -> str:
    running = next((stage for stage in source.stages if stage.state == "running"), None)
    progress = f"{running.stage} {running.done}" + (f" of {running.total}" if running.total else "") if running else ""
    return ", ".join(part for part in (progress, source.running, "failed" if source.failed else "") if part)


if __name__ == "__main__":
    main()
