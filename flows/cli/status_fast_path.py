"""`figureground status`, answered at once: where the command line begins, and how a state is told.

Beside an ingest that takes every core, each second of imports becomes several. So a catalog that was found right before is not
checked again (`flows.cli.catalog_cache`), a plain question is answered before typer, rich or the catalog's code are imported,
and what there is to say is written as plain text. Anything else is `flows.cli`'s.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from figureground.errors import FiguregroundError
from flows.cli import catalog_cache
from tasks.operation.status import as_json as plain
from tasks.operation.status import status

if TYPE_CHECKING:
    from tasks.operation.status import SourceState, State

HERE = Path("data_catalog.yaml")
_HEADS = ("source", "made", "kept", "pushed", "waiting", "answered", "rejected", "released", "now")


def main() -> None:
    """Answer `status` when nothing slow is needed for it; hand everything else to the whole command line."""
    asked = plainly_asked(sys.argv[1:])
    if asked is None or (text := _at_once(*asked)) is None:
        from flows.cli.app import main as whole

        whole()
    else:
        sys.stdout.write(text)


def plainly_asked(arguments: Sequence[str]) -> tuple[Path, bool] | None:
    """Read the arguments of a plain `status`.

    Returns
    -------
    tuple or None
        The catalog's file, and whether JSON is wanted; None for anything else, also for what is wrong.

    Examples
    --------
    >>> plainly_asked(["status", "--json"])
    (PosixPath('data_catalog.yaml'), True)
    >>> plainly_asked(["status", "--help"])
    """
    if not arguments or arguments[0] != "status":
        return None
    left, file, wanted = list(arguments[1:]), HERE, False
    while left:
        match left:
            case ["--json", *rest]:
                wanted, left = True, rest
            case ["--catalog", given, *rest]:
                file, left = Path(given), rest
            case _:
                return None
    return file, wanted


def _at_once(file: Path, wanted: bool) -> str | None:
    known = catalog_cache.remembered(file)
    try:
        return None if known is None else told(status(known), as_json=wanted)
    except FiguregroundError:
        return None  # the whole command line asks again, and says it as it says all errors


def told(state: "State", *, as_json: bool = False) -> str:
    """Write a state for people, a line a source with what failed below and the newest run of each flow last; or as JSON."""
    if as_json:
        return json.dumps(plain(state), indent=2, ensure_ascii=False) + "\n"
    lines = [*_table([_HEADS, *map(_row, state.sources)])]
    lines += [f"{one.source}: {one.failed}" for one in state.sources if one.failed]
    lines += [f"running: {work}" for work in state.working]
    lines += [f"{run.flow}: {run.outcome} {run.ended}, {run.seconds:.0f} s" for run in state.runs]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _row(one: "SourceState") -> Sequence[str]:
    numbers = (one.kept, one.pushed, one.waiting, one.answered, one.rejected, one.released)
    return (one.source, _made(one), *(str(number or "") for number in numbers), _now(one))


def _made(one: "SourceState") -> str:
    pending = one.pending
    rows = {stage.stage: stage.rows for stage in one.stages}
    if len(pending) == len(one.stages):
        return "nothing yet"
    made = f"{rows.get('frames', 0)} frames, {rows.get('crops', 0)} crops"
    return made + (f"; pending: {', '.join(pending)}" if pending else "")


def _now(one: "SourceState") -> str:
    running = next((stage for stage in one.stages if stage.state == "running"), None)
    far = f"{running.stage} {running.done}" + (f" of {running.total}" if running.total else "") if running else ""
    return ", ".join(part for part in (far, one.running, "failed" if one.failed else "") if part)


if __name__ == "__main__":
    main()
