"""Pages of scores: tables with intervals, and the worst pictures with both outlines."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from figureground.evaluation.scores import ERRORS, Difference, Group, Interval, Row
from figureground.imaging import drawing
from figureground.imaging.drawing import HUMAN, MACHINE
from figureground.reports import source_report
from figureground.training.sample_cache import TrainingSample
from figureground.types import Alpha, Mask

_HEIGHT = 220
_WORDS = {
    "iou_per_image": "mIoU, mean over pictures",
    "iou_of_dataset": "mIoU, all pixels",
    "boundary_iou_per_image": "boundary IoU, mean over pictures",
    "miou_with_background": "mIoU with background, all pixels",
    "sad": "SAD, thousands",
    "mse": "MSE",
    "grad": "Grad, thousands",
    "conn": "Conn, thousands",
}


class DrawnSample(NamedTuple):
    """A figure of the page: the sample, its picture as a data URI, and what is written below."""

    stem: str
    uri: str
    note: str


def list_titles(figures: Mapping[str, object]) -> list[tuple[str, str]]:
    """Give the names of figures and what they are called on pages."""
    return [(key, _titled(key)) for key in figures]


def _titled(key: str) -> str:
    kind, _, name = key.partition(":")
    return f"{name}: {_WORDS[kind].removeprefix('m')}" if name else _WORDS[kind]


def format_interval(result: Interval, key: str) -> str:
    """Say a figure with its interval.

    >>> nan = float("nan")
    >>> [format_interval(interval, "iou_per_image") for interval in (Interval(0.8, 0.75, 0.85), Interval(0.8, nan, nan))]
    ['.800 (.750–.850)', '.800']
    """
    digits = 2 if key in ERRORS and key != "mse" else 5 if key == "mse" else 3
    value, low, high = (f"{end:.{digits}f}".replace("0.", ".", 1) if abs(end) < 1 else f"{end:.{digits}f}" for end in result)
    return value if result.low != result.low else f"{value} ({low}–{high})"


def render_page(model: str, release: str, groups: Sequence[Group], worst: Sequence[DrawnSample]) -> str:
    """Write the page of one evaluation.

    Parameters
    ----------
    model, release
        Names.
    groups
        See `figureground.evaluation.scores.group_scores`.
    worst
        What `draw_sample` made, the worst first.
    """
    columns = list_titles(groups[0].figures)
    lines = [
        (group.name, group.pictures, group.sources, [format_interval(group.figures[key], key) for key, _ in columns])
        for group in groups
    ]
    return source_report.rendered(
        "scores.html", title=f"{model} on {release}", columns=[title for _, title in columns], lines=lines, worst=worst
    )


def render_comparison(old: str, new: str, on: str, result: Sequence[Difference], verdict: str) -> str:
    """Write the page of a comparison; one table a group: old, new and what was gained."""
    tables = [
        (
            sample.name,
            sample.pictures,
            sample.sources,
            [
                (title, *(format_interval(side[key], key) for side in (sample.old, sample.new, sample.gained)))
                for key, title in list_titles(sample.old)
            ],
        )
        for sample in result
    ]
    return source_report.rendered(
        "contest.html", title=f"{old} → {new}", old=old, new=new, on=on, tables=tables, verdict=verdict
    )


def draw_sample(row: Row, example: TrainingSample, answer: Mask | Alpha) -> DrawnSample:
    """Draw one picture: as it is, with the truth's outline, with the answer's, or with both painted where there are classes."""
    height, width = example.image.shape[:2]
    wide = max(1, round(width * _HEIGHT / height))
    small = drawing.scaled(example.image, wide, _HEIGHT)
    drawn = [small]
    for array, colour in ((example.truth, HUMAN), (answer, MACHINE)):
        several = array.dtype == np.uint8 and max(int(array.max()), int(example.truth.max())) > 1
        if several:
            drawn.append(drawing.scaled(drawing.painted(array.astype(np.uint8)), wide, _HEIGHT))
        else:
            soft = np.clip(drawing.scaled(array.astype(np.float32), wide, _HEIGHT), 0, 1).astype(np.float32)
            drawn.append(drawing.outlined(small, soft, colour))
    uri = drawing.data_uri(drawing.beside(drawn))
    return DrawnSample(row.stem, uri, f"IoU {row.iou:.3f}; {row.split}; {', '.join(row.scenes) or 'no scene'}")
