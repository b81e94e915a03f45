"""What sets two releases apart, as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from figureground.imaging import codecs, drawing
from figureground.imaging.drawing import DROPPED, HUMAN
from figureground.types import Image, Sample

AT_MOST = 60
_HEIGHT = 220


def page(
    names: tuple[str, str], changes: Mapping[str, Sequence[str]], old: Mapping[str, Sample], new: Mapping[str, Sample]
) -> str:
    """Write the page.

    Parameters
    ----------
    names
        The old and the new release's.
    changes
        What happened to which stems, see `figureground.datasets.manifest.compare_samples`.
    old, new
        Stem to sample, at least those `shown` gives.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )
    groups = [
        (word, len(stems), [_figure(stem, old.get(stem), new.get(stem)) for stem in stems[:AT_MOST]])
        for word, stems in changes.items()
    ]
    found: str = templates.get_template("difference.html").render(
        title=f"{names[0]} → {names[1]}", groups=groups, at_most=AT_MOST
    )
    return found


def shown(changes: Mapping[str, Sequence[str]]) -> set[str]:
    """Give the stems that the page shows."""
    return {stem for stems in changes.values() for stem in stems[:AT_MOST]}


def _figure(stem: str, old: Sample | None, new: Sample | None) -> dict[str, str]:
    there = [sample for sample in (old, new) if sample is not None]
    drawn = [_outlined(sample, DROPPED if sample is old else HUMAN) for sample in there]
    note = " → ".join(f"{sample.split}; {', '.join(sample.scenes) or 'no scene'}" for sample in there)
    return {"stem": stem, "uri": drawing.data_uri(drawing.beside(drawn)), "note": note}


def _outlined(sample: Sample, colour: drawing.Colour) -> Image:
    decoded = codecs.decode_bgr(sample.image)
    image = np.ascontiguousarray(np.asarray(decoded, np.uint8)[:, :, ::-1])
    width = max(1, round(image.shape[1] * _HEIGHT / image.shape[0]))
    alpha = np.clip(drawing.scaled(sample.alpha, width, _HEIGHT), 0, 1).astype(np.float32)
    return drawing.outlined(drawing.scaled(image, width, _HEIGHT), alpha, colour)
