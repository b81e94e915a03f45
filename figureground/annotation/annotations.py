"""Label Studio's annotation JSON → mask and verdict. Dicts in, arrays out; no server.

What comes back is checked against the label config's `Interface` and against the crop's size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from figureground import documents
from figureground.annotation import bitmask, brush_rle
from figureground.annotation.label_interface import BITMASK, KEEP, Interface
from figureground.errors import LabelError
from figureground.types import Mask

COLLAPSED_BELOW = 0.1
_COMPARED_FROM = 0.01
_ITEMS_AT_MOST = 1000
Origin = Literal["manual", "prediction", "prediction-changed"]


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """An annotation after reading. ``mask`` is (h, w) uint8, 0..255 as painted, or None for a rejected crop."""

    annotation_id: int
    mask: Mask | None
    verdict: str
    scenes: tuple[str, ...]
    origin: Origin
    parent_prediction: int | None
    seconds_spent: float


def read_annotation(
    annotation: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str
) -> Annotation:
    """Read an annotation.

    Several regions are merged, the stronger value of each pixel; Label Studio has applied its eraser to the stored
    region already. No verdict means keep. A rejected crop needs no mask and none is read.

    Parameters
    ----------
    annotation
        As the server's API or its JSON export gives it.
    interface
        The label config.
    width, height
        The crop's size in pixels.
    crop_id
        For messages.

    Raises
    ------
    LabelError
        With the crop and the annotation's id: nothing painted, an unknown label or choice, another size, a broken stream.
    """
    where = f"annotation {annotation.get('id')} of {crop_id}"
    regions, chosen = [], {}
    for item in read_items(annotation, where):
        if item.get("type") in ("choices", "taxonomy"):
            chosen[item.get("from_name")] = read_choices(item, interface, where)
        else:
            regions.append(item)
    verdict = next(iter(chosen.get("verdict", ())), KEEP)
    mask = _merged(regions, interface, width, height, where) if verdict == KEEP else None
    return Annotation(
        annotation_id=int(annotation["id"]),
        mask=mask,
        verdict=verdict,
        scenes=tuple(chosen.get("scenes", ())),
        origin=_origin(regions),
        parent_prediction=_whole_number(annotation.get("parent_prediction")),
        seconds_spent=_seconds(annotation.get("lead_time")),
    )


def read_regions(
    annotation: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str
) -> list[tuple[str, Mask]]:
    """Read an annotation's brush regions in their order, each with its label.

    Returns
    -------
    list of (str, Mask)
        The masks are (h, w), uint8, 0..255.

    Raises
    ------
    LabelError
        As `read_annotation`, except when nothing is painted.
    """
    where = f"annotation {annotation.get('id')} of {crop_id}"
    regions = [item for item in read_items(annotation, where) if item.get("type") not in ("choices", "taxonomy")]
    return [
        (_texts(region["value"].get(interface.kind))[0], mask)
        for region, mask in ((region, read_region(region, interface, width, height, where)) for region in regions)
    ]


def explain_collapse(painted: Mask, pushed: Mask) -> str:
    """Explain why the annotator should check a mask again, or "": almost nothing is left of the pushed mask.

    Parameters
    ----------
    painted, pushed
        Shape (h, w), uint8, 0..255: the annotator's mask, and the pushed mask. A pushed mask that covers less than a
        hundredth of the image is not compared.
    """
    before, after = int((pushed >= 128).sum()), int((painted >= 128).sum())
    if before < _COMPARED_FROM * pushed.size or after >= COLLAPSED_BELOW * before:
        return ""
    return (
        f"only {after} pixels are left of {before} that were pushed, less than {COLLAPSED_BELOW:.0%}: paint the person, choose "
        "a reason to reject, or submit the same again when it is right"
    )


def read_items(annotation: Mapping[str, Any], where: str) -> Sequence[Mapping[str, Any]]:
    """List an annotation's or a prediction's regions and choices.

    Raises
    ------
    LabelError
        When its result is no list of objects with a value, or has more than an editor gives.
    """
    items = annotation.get("result") or []
    if not isinstance(items, Sequence) or not all(
        isinstance(item, Mapping) and isinstance(item.get("value"), Mapping) for item in items
    ):
        raise LabelError(f"{where}: its result is not a list of regions and answers: {documents.abridge(items)}")
    if len(items) > _ITEMS_AT_MOST:
        raise LabelError(f"{where}: {len(items):,} regions and answers; expected at most {_ITEMS_AT_MOST:,}")
    return items


def _merged(regions: Sequence[Mapping[str, Any]], interface: Interface, width: int, height: int, where: str) -> Mask:
    mask = np.zeros((height, width), np.uint8)
    for region in regions:
        np.maximum(mask, read_region(region, interface, width, height, where), out=mask)
    if not (mask >= 128).any():
        raise LabelError(f"{where}: kept, but nothing is painted; paint the person or choose a reason to reject")
    return mask


def read_region(region: Mapping[str, Any], interface: Interface, width: int, height: int, where: str) -> Mask:
    """Check a brush region and decode its mask: (h, w), uint8, 0..255.

    Raises
    ------
    LabelError
        For a wrong tag, label or size, or a stream that cannot be decoded.
    """
    _check_tags(region, interface, {interface.brush}, where)
    value = region["value"]
    labels = _texts(value.get(interface.kind))
    unknown = [label for label in labels if label not in interface.labels]
    if region.get("type") != interface.kind or unknown or not labels:
        raise LabelError(
            f"{where}: region {documents.abridge(region.get('id'))} is {documents.abridge(region.get('type'))} labelled "
            f"{', '.join(labels) or 'nothing'}; expected {interface.kind!r} labelled {' or '.join(interface.labels)}"
        )
    size = region.get("original_width"), region.get("original_height")
    if size != (width, height) or region.get("image_rotation"):
        raise LabelError(
            f"{where}: region {documents.abridge(region.get('id'))} is for an image of {documents.abridge(size[0])}x"
            f"{documents.abridge(size[1])} rotated by {documents.abridge(region.get('image_rotation') or 0)}; "
            f"the crop has {width}x{height}, not rotated"
        )
    try:
        if interface.kind == BITMASK:
            return bitmask.decode(value.get("imageDataURL") or "", width, height)
        return brush_rle.decode(value.get("rle") or [], width, height)
    except LabelError as error:
        raise LabelError(f"{where}: region {documents.abridge(region.get('id'))}: {error}") from error


def read_choices(item: Mapping[str, Any], interface: Interface, where: str) -> tuple[str, ...]:
    """Check a question's answers and read them.

    Raises
    ------
    LabelError
        For a wrong tag, or an answer that the label config does not offer.
    """
    _check_tags(item, interface, set(interface.choices), where)
    name, chosen = item["from_name"], _texts(item["value"].get("choices"))
    unknown = [choice for choice in chosen if choice not in interface.choices[name]]
    if item.get("type") != "choices" or unknown or (len(chosen) > 1 and name not in interface.several):
        raise LabelError(
            f"{where}: {name} says {', '.join(map(repr, chosen)) or 'nothing'}; expected "
            f"{'any' if name in interface.several else 'one'} of {', '.join(interface.choices[name])}"
        )
    return chosen


def _check_tags(item: Mapping[str, Any], interface: Interface, names: set[str], where: str) -> None:
    from_name, to_name = item.get("from_name"), item.get("to_name")
    if from_name not in tuple(names) or to_name != interface.image:
        raise LabelError(
            f"{where}: item {documents.abridge(item.get('id'))} goes from {documents.abridge(from_name)} to "
            f"{documents.abridge(to_name)}; the label config has {', '.join(sorted(names))} to {interface.image}"
        )


def _texts(values: Any) -> tuple[str, ...]:
    """Convert a list of answers to text; a single value counts as a list of one, None as an empty list."""
    every = values if isinstance(values, (list, tuple)) else () if values is None else (values,)
    return tuple(value if isinstance(value, str) else documents.abridge(value) for value in every)


def _whole_number(value: Any) -> int | None:
    """Give a number of the server's; whatever else an annotator's program sends in its place is none."""
    return value if type(value) is int and 0 < value < 2**63 else None


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 2**53 else 0.0


def _origin(regions: Sequence[Mapping[str, Any]]) -> Origin:
    """Decide where a mask comes from: an untouched region among drawn regions makes a changed prediction."""
    origins = {str(region.get("origin", "manual")) for region in regions}
    if origins == {"prediction"}:
        return "prediction"
    if origins <= {"manual"}:
        return "manual"
    return "prediction-changed"
