"""What the commands print: messages, progress bars and tables of counts."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table

from figureground.errors import FiguregroundError
from figureground.escaping import escape_terminal
from flows.scheduling.interruption import end_on_signals
from flows.scheduling.log_records import collect_warnings, format_traceback, make_text_safe

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from figureground.datasets.funnel import Funnel
    from flows.outcomes import Outcome

_MAX_COLUMNS = 6
_ORIGINS = {"prediction": "accepted as is", "prediction-changed": "corrected", "manual": "drawn"}


class SafeConsole(Console):
    """A console whose terminal obeys only rich's own control sequences: those in a text are written as escapes."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Give the segments of what is printed, each made safe."""
        for segment in super().render(renderable, options):
            yield segment if segment.is_control else segment._replace(text=escape_terminal(segment.text))


console = SafeConsole()
error_console = SafeConsole(stderr=True)


def print_message(text: str) -> None:
    """Print a text as it is: without markup, colours and line breaks of our own."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def print_error(text: str, error: BaseException) -> None:
    """Print one message for an error, with ``--verbose`` after its traceback; no secret of an address is shown."""
    if "--verbose" in sys.argv:
        error_console.print(format_traceback(error), soft_wrap=True, markup=False, highlight=False)
    error_console.print(f"[bold red]error:[/] {escape(make_text_safe(text))}", soft_wrap=True)


def format_counts(counts: Mapping[str, int]) -> str:
    """Write the number of images in each split.

    Examples
    --------
    >>> format_counts({"val": 2, "train": 10})
    '10 in train, 2 in val'
    """
    return ", ".join(f"{count} in {split}" for split, count in sorted(counts.items()))


@contextmanager
def running_flow() -> Iterator[None]:
    """Prepare for a flow that runs in the block: a signal ends it within seconds, and its progress is shown.

    Warnings are printed where they occur; their number is printed at the end, where it is seen.
    """
    from flows.scheduling.engine import start_server

    with collect_warnings() as warnings:
        try:
            with end_on_signals(), show_progress():
                start_server()
                yield
        finally:
            if count := len(warnings.texts):
                noun = "warning" if count == 1 else "warnings"
                error_console.print(f"{count} {noun}, see above; `figureground status` shows the last run's", highlight=False)


@contextmanager
def show_progress() -> Iterator[None]:
    """Show a bar for each stage of each source while the block runs; without a terminal, a line when a stage is complete."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from figureground.progress import subscribe

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        unsubscribe = subscribe(_bar_updater(bars) if console.is_terminal else _print_completed)
        try:
            yield
        finally:
            unsubscribe()


def _bar_updater(bars: "Progress") -> Callable[[str, str, int, int], None]:
    bar_ids: dict[tuple[str, str], TaskID] = {}

    def update(stage: str, source_id: str, done: int, total: int) -> None:
        key = (stage, source_id)
        if key not in bar_ids:
            bar_ids[key] = bars.add_task(f"{source_id} · {stage}", total=total or None)
        bars.update(bar_ids[key], completed=done, total=total or None, visible=not (total and done >= total))

    return update


def _print_completed(stage: str, source_id: str, done: int, total: int) -> None:
    if total and done >= total:
        console.print(f"{source_id} · {stage} {done}/{total}")


def print_funnels(funnels: "Sequence[Funnel]") -> None:
    """Print how many frames, crops and labels each source has: a column per source, or only the sum of many sources.

    Parameters
    ----------
    funnels
        See `tasks.datasets.summarise.summarise`.
    """
    if not funnels:
        return
    if len(funnels) > _MAX_COLUMNS:
        for funnel in funnels:
            console.print(
                f"{funnel.source_id}: {funnel.frames} frames, {funnel.crops} crops, {funnel.kept} kept", soft_wrap=True
            )
    from figureground.datasets.funnel import add_up

    whole = add_up(funnels)
    shown = [*(funnels if len(funnels) <= _MAX_COLUMNS else []), *([whole] if len(funnels) > 1 else [])]
    table = Table("", *(funnel.source_id for funnel in shown))
    for name, _ in _counted(whole):
        table.add_row(name, *(str(dict(_counted(funnel)).get(name, 0)) for funnel in shown))
    console.print(table)
    for funnel in funnels:
        if funnel.truncated:
            console.print(f"{funnel.source_id}: truncated: the video has fewer frames than its header says", soft_wrap=True)


def _counted(funnel: "Funnel") -> Iterator[tuple[str, int]]:
    yield "frames", funnel.frames
    yield from ((f"frames rejected: {reason}", count) for reason, count in sorted(funnel.refused.items()))
    yield from (("people", funnel.people), ("too small to crop", funnel.too_small))
    yield "crops", funnel.crops
    yield from ((f"dropped: {reason}", count) for reason, count in sorted(funnel.dropped.items()))
    yield "kept", funnel.kept
    if funnel.pushed:
        yield "pushed", funnel.pushed
        yield from ((_ORIGINS[origin], count) for origin, count in sorted(funnel.origins.items()))
        yield from ((f"labels rejected: {reason}", count) for reason, count in sorted(funnel.rejected.items()))


def report_failures(outcomes: "Sequence[Outcome]") -> None:
    """Print which sources were skipped, and raise one error for all that failed.

    Parameters
    ----------
    outcomes
        One per source.

    Raises
    ------
    FiguregroundError
        Naming each source that failed, with its reason.
    """
    for outcome in outcomes:
        if outcome.left:
            print_message(f"{outcome.source_id}: {outcome.left}")
    failed = [outcome for outcome in outcomes if outcome.error]
    if failed:
        reasons = "\n".join(f"{outcome.source_id}: {outcome.error}" for outcome in failed)
        raise FiguregroundError(f"{len(failed)} of {len(outcomes)} sources failed; run again to continue\n{reasons}")
