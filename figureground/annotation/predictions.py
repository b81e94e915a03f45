"""Crop and matte → what Label Studio is sent: task keys, image addresses, pre-annotations. Dicts only; no server.

A prediction is checked against the label config and the image's size before it is sent, because the server accepts one
with a wrong name or size and then shows nothing.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from figureground.annotation import bitmask, brush_rle
from figureground.annotation.annotations import Origin, read_choices, read_items, read_region
from figureground.annotation.label_interface import BITMASK, KEEP, MASK_TAGS, PERSON, Interface
from figureground.errors import LabelError
from figureground.imaging import masks
from figureground.types import Alpha, Mask


def task_key(crop_id: str, sha256: str) -> str:
    """Make a task's key: the same crop with the same bytes is the same task, on every machine and at every time.

    >>> task_key("park-000120-02", "00" * 32)
    '053c2bdb65e19c1f14427330d23d076c'
    """
    return hashlib.sha256(f"{crop_id}\n{sha256}".encode()).hexdigest()[:32]


def image_url(file: str) -> str:
    """Make the address under which Label Studio serves a file of the storage.

    >>> image_url("crops/park/park 1.jpg")
    '/data/local-files/?d=crops/park/park%201.jpg'
    """
    return f"/data/local-files/?d={quote(file)}"


def binarize(alpha: Alpha) -> Mask:
    """Threshold an alpha at one half into the mask that annotators edit: 0 or 255. It is an eighth of a soft mask's bytes.

    Raises
    ------
    ArrayError
        When `alpha` is not an alpha.
    """
    return masks.to_mask(alpha) * np.uint8(255)


def make_prediction(
    mask: Mask, interface: Interface, *, score: float, model_version: str, scenes: Iterable[str] = ()
) -> dict[str, Any]:
    """Make a pre-annotation.

    Parameters
    ----------
    mask
        Shape (h, w), uint8, 0..255; an empty one gives no brush region, so that annotators start from nothing.
    interface
        The label config it must fit.
    score
        The matte's confidence, from the mattes table. Label Studio sorts tasks by it.
    model_version
        Which remover with which weights.
    scenes
        Scenes to choose beforehand; those the interface does not offer are left out.

    Raises
    ------
    ArrayError
        When it is no mask.
    """
    masks.check_mask(mask)
    offered = [scene for scene in scenes if scene in interface.choices.get("scenes", ())]
    regions = [_region(mask, interface)] if mask.any() else []
    return {
        "model_version": model_version,
        "score": round(score, 6),
        "result": regions + ([_choice("scenes", offered, interface)] if offered else []),
    }


def _region(mask: Mask, interface: Interface) -> dict[str, Any]:
    height, width = mask.shape
    return {
        "id": hashlib.sha256(mask.tobytes()).hexdigest()[:10],
        "type": interface.kind,
        "from_name": interface.brush,
        "to_name": interface.image,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": _encode(mask, interface.kind) | {interface.kind: [PERSON]},
    }


def _encode(mask: Mask, kind: str) -> dict[str, Any]:
    return {"imageDataURL": bitmask.encode(mask)} if kind == BITMASK else {"format": "rle", "rle": brush_rle.encode(mask)}


def _choice(name: str, chosen: Sequence[str], interface: Interface) -> dict[str, Any]:
    return {
        "id": f"fg-{name}",
        "type": "choices",
        "from_name": name,
        "to_name": interface.image,
        "value": {"choices": list(chosen)},
    }


def make_result(
    interface: Interface, *, mask: Mask | None, origin: Origin, verdict: str = KEEP, scenes: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Make the result of an annotation, as the server stores what an annotator submits.

    Parameters
    ----------
    interface
        The label config it must fit.
    mask
        Shape (h, w), uint8, 0..255, or None when the crop is rejected.
    origin
        Where the mask comes from.
    verdict, scenes
        The answers; ``keep`` is written, too.
    """
    regions = [_region(mask, interface) | {"origin": origin}] if mask is not None else []
    questions = [_choice("verdict", [verdict], interface), *([_choice("scenes", scenes, interface)] if scenes else [])]
    return regions + [question | {"origin": "manual"} for question in questions]


def check_prediction(prediction: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str) -> None:
    """Check a pre-annotation: the server accepts a wrong one and does not show it.

    Parameters
    ----------
    prediction
        The prediction, as `make_prediction` makes it.
    interface
        The label config.
    width, height
        The image's size in pixels.
    crop_id
        For messages.

    Raises
    ------
    LabelError
        For a wrong tag, label, choice or size, or a brush stream that cannot be read.
    """
    where = f"pre-annotation of {crop_id}"
    if not prediction.get("model_version") or not 0 <= prediction.get("score", -1) <= 1:
        raise LabelError(f"{where}: needs a model_version and a score of 0..1; found {prediction.get('score')!r}")
    for item in read_items(prediction, where):
        if item.get("type") in MASK_TAGS:
            read_region(item, interface, width, height, where)
        else:
            read_choices(item, interface, where)
