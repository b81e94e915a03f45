"""Scores of an old and a new one on the same pictures → what was gained, as a page and for programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from figureground.evaluation import scores
from figureground.evaluation.scores import Difference, Interval, Row
from figureground.reports import scoreboard
from figureground.storage import atomic
from tasks import retried_task

DECIDING = "iou_per_image"


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """What was gained, by all pictures, split and scene; and in a sentence."""

    on: str
    differences: tuple[Difference, ...]
    verdict: str
    page: Path

    @property
    def gained(self) -> Interval:
        """Of all pictures' mean IoU."""
        return self.differences[0].gained[DECIDING]


@retried_task
def compare_models(
    names: tuple[str, str],
    on: str,
    old: Sequence[Sequence[Row]],
    new: Sequence[Sequence[Row]],
    classes: Sequence[str],
    into: Path,
) -> ModelComparison:
    """Compare two on the same pictures.

    Parameters
    ----------
    names
        What the old and the new one are called.
    on
        What the pictures are called.
    old, new
        The rows of each run (one a seed), the same number of runs for both.
    classes
        The classes' names, background first.
    into
        The folder for ``summary.json`` and ``index.html``.

    Raises
    ------
    ArrayError
        When the pictures are not the same.
    """
    result = scores.compare_groups(_together(old), _together(new), classes)
    verdict = render_verdict(names, result[0].gained[DECIDING], result[0].sources)
    content = {
        "summary.json": _json(names, on, result, verdict),
        "index.html": scoreboard.render_comparison(*names, on, result, verdict).encode(),
    }
    for name, text in content.items():
        atomic.write_file(into / name, text)
    return ModelComparison(on, tuple(result), verdict, into / "index.html")


def render_verdict(names: tuple[str, str], gained: Interval, sources: int) -> str:
    """Say who is better, or that nothing shows it.

    >>> said(("a", "b"), Interval(0.02, 0.01, 0.03), 9)
    'b is better than a: 2.0 points of mIoU, 1.0 to 3.0 in 95 of 100 draws of 9 sources.'
    """
    old, new = names
    if gained.low != gained.low:
        return f"{new} has {gained.value * 100:+.1f} points of mIoU beside {old}, on one source: no telling how sure."
    ends = f"{gained.low * 100:.1f} to {gained.high * 100:.1f} in 95 of 100 draws of {sources} sources"
    if gained.low > 0:
        return f"{new} is better than {old}: {gained.value * 100:.1f} points of mIoU, {ends}."
    if gained.high < 0:
        return f"{new} is worse than {old}: {gained.value * 100:.1f} points of mIoU, {ends}."
    return f"nothing shows that {new} and {old} differ: {gained.value * 100:+.1f} points of mIoU, {ends}."


def _together(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """Lay the runs of several seeds together: each picture once a seed, of the same source."""
    return [replace(row, stem=f"{row.stem}#{at}") for at, rows in enumerate(runs) for row in rows]


def _json(names: tuple[str, str], on: str, result: Sequence[Difference], verdict: str) -> bytes:
    text = {
        "old": names[0],
        "new": names[1],
        "on": on,
        "verdict": verdict,
        "groups": {
            sample.name: {
                "pictures": sample.pictures,
                "sources": sample.sources,
                **{
                    side: {key: _ends(value) for key, value in getattr(sample, side).items()}
                    for side in ("old", "new", "gained")
                },
            }
            for sample in result
        },
    }
    return (json.dumps(text, indent=1, ensure_ascii=False) + "\n").encode()


def _ends(result: Interval) -> list[float | None]:
    return [None if end != end else end for end in result]
