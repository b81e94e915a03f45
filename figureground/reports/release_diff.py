"""The samples that differ between two releases, as a page of images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from figureground.imaging import crops, drawing
from figureground.imaging.drawing import DROPPED, HUMAN
from figureground.types import Image, Sample

AT_MOST = 60
"""How many samples of each kind of change the page shows."""
_HEIGHT = 220


def render(
    names: tuple[str, str], changes: Mapping[str, Sequence[str]], old: Mapping[str, Sample], new: Mapping[str, Sample]
) -> str:
    """Render the page as HTML.

    Parameters
    ----------
    names
        The names of the old and of the new release.
    changes
        Kind of change to sample ids, see `figureground.datasets.manifest.compare_samples`.
    old, new
        Sample id to sample, at least those that `shown_samples` gives.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )
    groups = [
        (change, len(sample_ids), [_figure(name, old.get(name), new.get(name)) for name in sample_ids[:AT_MOST]])
        for change, sample_ids in changes.items()
    ]
    page: str = templates.get_template("difference.html").render(
        title=f"{names[0]} → {names[1]}", groups=groups, at_most=AT_MOST
    )
    return page


def shown_samples(changes: Mapping[str, Sequence[str]]) -> set[str]:
    """Give the sample ids that the page shows."""
    return {name for sample_ids in changes.values() for name in sample_ids[:AT_MOST]}


def _figure(sample_id: str, old: Sample | None, new: Sample | None) -> dict[str, str]:
    shown = [(sample, colour) for sample, colour in ((old, DROPPED), (new, HUMAN)) if sample is not None]
    drawn = [_outlined(sample, colour) for sample, colour in shown]
    note = " → ".join(f"{sample.split}; {', '.join(sample.scenes) or 'no scene'}" for sample, _ in shown)
    return {"sample_id": sample_id, "uri": drawing.data_uri(drawing.beside(drawn)), "note": note}


def _outlined(sample: Sample, colour: drawing.Colour) -> Image:
    image = crops.decode(sample.image, sample.sample_id)
    width = max(1, round(image.shape[1] * _HEIGHT / image.shape[0]))
    alpha = np.clip(drawing.scaled(sample.alpha, width, _HEIGHT), 0, 1).astype(np.float32)
    return drawing.outlined(drawing.scaled(image, width, _HEIGHT), alpha, colour)
