"""Pages with images: what became of a source, and the whole pipeline from a clip to a release.

A page is one HTML file that needs no other: pictures and the script of the limits are inside it, nothing is loaded.
The same content gives the same bytes.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import isfinite, nan
from pathlib import Path
from typing import Any

from figureground.checks import Check
from figureground.imaging import drawing
from figureground.imaging.drawing import DROPPED, HUMAN, KEPT, MACHINE
from figureground.storage.hashing import sha256
from figureground.types import Alpha, Box, Image, Mask

VERSION = 2
"""Raised by 1 when a page looks different for the same tables."""

THUMBNAIL = 160
FRAME_WIDTH = 580
TUNER_SIDE = 110


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its words: ``alt`` says what is seen to who cannot see it."""

    src: str
    width: int
    height: int
    alt: str
    caption: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Figures that belong together; ``total`` counts those that are not shown too."""

    title: str
    text: str
    figures: tuple[Figure, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Step:
    """One bar of the funnel; ``share`` (0..1) is its length. A dropping step names its ``reason``."""

    name: str
    count: int
    share: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What a source's page says."""

    source_id: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    steps: tuple[Step, ...]
    tuner: Mapping[str, Any] | None = None
    frames: tuple[Figure, ...] = ()
    kept: Group | None = None
    dropped: tuple[Group, ...] = ()
    labels: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """What the page of the whole pipeline says. ``counts`` has a row a source under ``columns``; ``tree`` is text."""

    title: str
    sources: tuple[SourceReport, ...]
    release: str
    tree: str
    columns: tuple[str, ...]
    counts: tuple[tuple[str, ...], ...]
    pairs: Group
    facts: tuple[tuple[str, str], ...] = field(default=())


def source_page(report: SourceReport) -> str:
    """Write a source's page."""
    return rendered("source.html", title=f"{report.source_id}: what became of it", report=report)


def pipeline_page(report: PipelineReport) -> str:
    """Write the page of the whole pipeline."""
    return rendered("pipeline.html", title=report.title, report=report)


def sealed(page: str, mark: str) -> bytes:
    """Give a page's bytes with a last line that says what it was made from and what its bytes are."""
    content = page.encode()
    return content + f"<!-- made from {mark}; sha256 of the lines above {sha256(content)} -->\n".encode()


def seal(content: bytes) -> str:
    """Give the mark `sealed` put in a page, or "" when the page has none or is not what was written."""
    above, _, last = content.rstrip(b"\n").rpartition(b"\n")
    match = re.fullmatch(rb"<!-- made from (\S+); sha256 of the lines above ([0-9a-f]{64}) -->", last)
    whole = match and match[2].decode() == sha256(above + b"\n")
    return match[1].decode() if match and whole else ""


def tuner(checks: Mapping[str, Check], crops: Sequence[tuple[str, Image | None, Mapping[str, float]]]) -> dict[str, Any]:
    """Give what the limits' sliders work on.

    Parameters
    ----------
    checks
        The checks with their limits, in the order in which they may refuse.
    crops
        Each crop's id, its picture (None leaves it out) and what each check measured; NaN and missing values count as
        not measured.

    Returns
    -------
    dict
        For JSON. A check whose fields are not ``at_least`` and ``at_most`` cannot be dragged; the range of values it
        accepts is taken from the crops.
    """
    return {
        "checks": [_slider(name, check, [values.get(name, nan) for _, _, values in crops]) for name, check in checks.items()],
        "crops": [
            {
                "id": crop_id,
                "src": "" if image is None else drawing.data_uri(drawing.fit(image, TUNER_SIDE, TUNER_SIDE)),
                "values": [_finite(values.get(name, nan)) for name in checks],
            }
            for crop_id, image, values in crops
        ],
    }


def _slider(name: str, check: Check, values: Sequence[float]) -> dict[str, Any]:
    settings = dataclasses.asdict(check)
    limits = {key: float(value) for key, value in settings.items() if key in ("at_least", "at_most")}
    accepted = [value for value in values if check.accepts(value)]
    return {
        "name": name,
        "meaning": (type(check).__doc__ or "").strip().split("\n\n")[0],
        "limits": limits,
        "fixed": None if limits else [min(accepted, default=1.0), max(accepted, default=0.0)],
        "others": [f"{key}: {json.dumps(value)}" for key, value in settings.items() if key not in limits],
    }


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if isfinite(value) else None


def frame_figure(frame_id: str, image: Image, boxes: Sequence[tuple[Box, str, str]], caption: str) -> Figure:
    """Show a frame with its people.

    Parameters
    ----------
    frame_id
        Which.
    image
        The frame.
    boxes
        Each person's box in frame pixels, its number, and the reason it was dropped ("" when kept).
    caption
        Words below.
    """
    small = drawing.fit(image, FRAME_WIDTH, FRAME_WIDTH)
    ratio = small.shape[1] / image.shape[1]
    drawn = drawing.boxed(small, [(_times(box, ratio), _colour(reason), _tag(n, reason)) for box, n, reason in boxes])
    people = "; ".join(f"person {number} {_tag('', reason)}" for _, number, reason in boxes) or "nobody found"
    return _figure([drawn], f"Frame {frame_id} with a box around each person: {people}", caption)


def kept_figure(crop_id: str, image: Image, alpha: Alpha | None, caption: str, note: str) -> Figure:
    """Show a kept crop; beside it its matte over a checkerboard and the matte's outline, where there is one."""
    small = drawing.fit(image, THUMBNAIL, THUMBNAIL)
    if alpha is None:
        return _figure([small], f"Crop {crop_id}", caption, note)
    soft = drawing.scaled(alpha, small.shape[1], small.shape[0]).clip(0, 1)
    row = [small, drawing.on_checkerboard(small, soft), drawing.outlined(small, soft, MACHINE, 1)]
    return _figure(row, f"Crop {crop_id}, its matte over a checkerboard, and the crop with the matte's outline", caption, note)


def dropped_figure(crop_id: str, image: Image, reason: str, caption: str, note: str) -> Figure:
    """Show a dropped crop."""
    return _figure([drawing.fit(image, THUMBNAIL, THUMBNAIL)], f"Crop {crop_id}, dropped because of {reason}", caption, note)


def label_figure(crop_id: str, image: Image, before: Alpha | None, after: Alpha, caption: str, note: str) -> Figure:
    """Show the outline before and after a person looked at it, and between them what changed."""
    small = drawing.fit(image, THUMBNAIL, THUMBNAIL)
    size = small.shape[1], small.shape[0]
    new = drawing.scaled(after, *size).clip(0, 1)
    label = drawing.outlined(small, new, HUMAN, 1)
    if before is None:
        return _figure([small, label], f"Crop {crop_id}, and the same with the outline of its label", caption, note)
    old = drawing.scaled(before, *size).clip(0, 1)
    row = [drawing.outlined(small, old, MACHINE, 1), drawing.changed(small, before, after), label]
    alt = f"Crop {crop_id} with the matte's outline, with what the annotator added and took away, with the label's outline"
    return _figure(row, alt, caption, note)


def pair_figure(stem: str, image: Image, mask: Mask, caption: str) -> Figure:
    """Show a released picture and its mask."""
    small = drawing.fit(image, THUMBNAIL, THUMBNAIL)
    white = drawing.scaled(drawing.painted(mask), small.shape[1], small.shape[0])
    return _figure([small, white], f"Released picture {stem} and its mask, person in white", caption)


def spread(items: Sequence[Any], at_most: int) -> list[Any]:
    """Choose some of many, evenly, the first and the last among them.

    >>> spread(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(items) <= at_most:
        return list(items)
    if at_most == 1:
        return [items[len(items) // 2]]
    return [items[round(step * (len(items) - 1) / (at_most - 1))] for step in range(at_most)]


def _figure(row: Sequence[Image], alt: str, caption: str, note: str = "") -> Figure:
    image = drawing.beside(row)
    return Figure(drawing.data_uri(image), image.shape[1], image.shape[0], alt, caption, note)


def _times(box: Box, ratio: float) -> Box:
    return Box(box.x0 * ratio, box.y0 * ratio, box.x1 * ratio, box.y1 * ratio)


def _colour(reason: str) -> drawing.Colour:
    return DROPPED if reason else KEPT


def _tag(number: str, reason: str) -> str:
    return f"{number} {f'dropped: {reason}' if reason else 'kept'}".strip()


def rendered(name: str, **content: Any) -> str:
    """Fill a template of the folder ``templates``."""
    page: str = _template(name).render(content)
    return page + "\n"


@cache
def _template(name: str) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent / "templates"
    return Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(name)
