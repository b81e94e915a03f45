"""Crop and matte → Label Studio's task JSON; its annotation JSON → mask and verdict. Dicts only, no client.

An `Interface` is what a label config asks for. Whatever is sent is checked against it and against the picture's size
first, because the server takes a prediction with a wrong name or size and then shows nothing.
"""

import hashlib
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from figureground.annotation import bitmask, brush_rle
from figureground.errors import CatalogError, LabelError
from figureground.imaging import masks
from figureground.types import Alpha, Mask

PERSON = "person"
KEEP = "keep"
BRUSH, BITMASK = "brushlabels", "bitmasklabels"
_TAGS = {BRUSH: "BrushLabels", BITMASK: "BitmaskLabels"}
UNKNOWN: Mapping[str, Any] = {
    **dict.fromkeys(("iou_with_matte", "boundary_iou_with_matte", "changed", "agreement", "boundary_agreement"), math.nan),
    **dict.fromkeys(("second_annotator", "second_verdict", "file", "sha256", "parts", "parts_sha256"), ""),
    "classes": 0,
    "overlaps": [],
}
"""What a row of the labels table says as long as there is no mask, no parts and no second opinion."""
COLLAPSED_BELOW = 0.1
_WORTH_COMPARING = 0.01
Origin = Literal["manual", "prediction", "prediction-changed"]


@dataclass(frozen=True, slots=True)
class Interface:
    """What a label config asks for.

    ``image`` and ``value`` are the picture's tag and the key of its URL in a task's data; ``brush`` is the brush's tag
    with its ``labels``; ``choices`` are the questions with their allowed answers, ``several`` those with many answers.
    ``kind`` says how masks are stored: as ``brushlabels`` or ``bitmasklabels``.
    """

    image: str
    value: str
    brush: str
    labels: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]]
    several: frozenset[str]
    kind: str = BRUSH


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one annotation says. ``mask`` is (h, w) uint8, 0..255 as it was painted, or None for a rejected crop."""

    annotation_id: int
    mask: Mask | None
    verdict: str
    scenes: tuple[str, ...]
    origin: Origin
    parent_prediction: int | None
    seconds_spent: float


def read_interface(xml: str, where: str) -> Interface:
    """Read a label config.

    Parameters
    ----------
    xml
        The config.
    where
        Its file, for messages.

    Raises
    ------
    CatalogError
        When it is not XML, or lacks the one picture, the one brush with the label ``person``, or the question
        ``verdict`` with the answer ``keep``.
    """
    found = read_parts(xml, where)
    if PERSON not in found.labels:
        raise CatalogError(f"{where}: BrushLabels needs the label {PERSON!r}; it has: {', '.join(found.labels) or 'none'}")
    return found


def read_parts(xml: str, where: str) -> Interface:
    """Read a label config whatever its brush labels are: one for the parts of a person, say.

    Raises
    ------
    CatalogError
        As `read_interface`, but for the label ``person``.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise CatalogError(f"{where}: the label config is not XML: {error}") from error
    image, brush = _only(root, where, "Image"), _only(root, where, *_TAGS.values())
    labels = _answers(brush, "Label")
    questions = {tag.get("name", ""): tag for tag in root.iter("Choices")}
    choices = {name: _answers(tag, "Choice") for name, tag in questions.items()}
    if KEEP not in choices.get("verdict", ()):
        raise CatalogError(f'{where}: needs <Choices name="verdict"> with the choice {KEEP!r}')
    for name, tag in {brush.get("name", ""): brush, **questions}.items():
        if not name or tag.get("toName") != image.get("name"):
            raise CatalogError(f"{where}: {tag.tag} {name!r} needs a name, and toName={image.get('name')!r}")
    several = frozenset(name for name, tag in questions.items() if tag.get("choice") == "multiple")
    value = image.get("value", "").removeprefix("$")
    return Interface(image.get("name", ""), value, brush.get("name", ""), labels, choices, several, brush.tag.lower())


def _only(root: ElementTree.Element, where: str, *tags: str) -> ElementTree.Element:
    found = [element for element in root.iter() if element.tag in tags]
    if len(found) != 1:
        raise CatalogError(f"{where}: needs exactly one {' or '.join(f'<{tag}>' for tag in tags)}; found {len(found)}")
    return found[0]


def stored_as(xml: str, kind: str) -> str:
    """Give a label config whose masks are stored as `kind`: `BRUSH` or `BITMASK`; all else stays as it is.

    >>> stored_as('<BrushLabels name="person"></BrushLabels>', BITMASK)
    '<BitmaskLabels name="person"></BitmaskLabels>'
    """
    return re.sub(rf"(</?)(?:{'|'.join(_TAGS.values())})\b", rf"\g<1>{_TAGS[kind]}", xml)


def _answers(parent: ElementTree.Element, tag: str) -> tuple[str, ...]:
    """Give what results will carry: the alias where there is one."""
    return tuple(child.get("alias") or child.get("value") or "" for child in parent.iter(tag))


def same_interface(one: str, other: str) -> bool:
    """Tell whether two label configs are the same apart from comments and white space.

    >>> same_interface("<View> <!-- old --> </View>", "<View/>")
    True
    """
    return _canonical(one) == _canonical(other)


def _canonical(xml: str) -> str:
    try:
        return ElementTree.canonicalize(xml, strip_text=True)
    except ElementTree.ParseError:
        return xml


def key(crop_id: str, sha256: str) -> str:
    """Give a task's identity: the same crop with the same bytes is the same task, wherever and whenever it is pushed.

    >>> key("park-000120-02", "00" * 32)
    '053c2bdb65e19c1f14427330d23d076c'
    """
    return hashlib.sha256(f"{crop_id}\n{sha256}".encode()).hexdigest()[:32]


def url(file: str) -> str:
    """Give the address under which Label Studio serves a file of the storage.

    >>> url("crops/park/park 1.jpg")
    '/data/local-files/?d=crops/park/park%201.jpg'
    """
    return f"/data/local-files/?d={quote(file)}"


def hard(alpha: Alpha) -> Mask:
    """Cut an alpha at one half into the mask that people edit: 0 or 255. A hard mask is eight times as light as a soft one.

    Raises
    ------
    ArrayError
        When `alpha` is no alpha.
    """
    return masks.to_mask(alpha) * np.uint8(255)


def prediction(
    mask: Mask, interface: Interface, *, score: float, model_version: str, scenes: Iterable[str] = ()
) -> dict[str, Any]:
    """Make a pre-annotation.

    Parameters
    ----------
    mask
        Shape (h, w), uint8, 0..255; an empty one gives no brush region, so that people start from nothing.
    interface
        The label config it must fit.
    score
        How sure the matte is, as the mattes table says. Label Studio sorts tasks by it.
    model_version
        Which remover with which weights.
    scenes
        Scenes to choose beforehand; those the interface does not offer are left out.

    Raises
    ------
    ArrayError
        When the mask is none.
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
        "value": _stored(mask, interface.kind) | {interface.kind: [PERSON]},
    }


def _stored(mask: Mask, kind: str) -> dict[str, Any]:
    return {"imageDataURL": bitmask.encode(mask)} if kind == BITMASK else {"format": "rle", "rle": brush_rle.encode(mask)}


def _choice(name: str, answers: Sequence[str], interface: Interface) -> dict[str, Any]:
    return {
        "id": f"fg-{name}",
        "type": "choices",
        "from_name": name,
        "to_name": interface.image,
        "value": {"choices": list(answers)},
    }


def answered(
    interface: Interface, *, mask: Mask | None, origin: Origin, verdict: str = KEEP, scenes: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Make the result of an annotation: what a person's work looks like to the server.

    Parameters
    ----------
    interface
        The label config it must fit.
    mask
        Shape (h, w), uint8, 0..255, or None when the crop is rejected.
    origin
        Where the mask comes from.
    verdict, scenes
        The answers; ``keep`` is said, too.
    """
    regions = [_region(mask, interface) | {"origin": origin}] if mask is not None else []
    questions = [_choice("verdict", [verdict], interface), *([_choice("scenes", scenes, interface)] if scenes else [])]
    return regions + [question | {"origin": "manual"} for question in questions]


def check_prediction(found: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str) -> None:
    """Refuse a pre-annotation that the server would take and not show.

    Parameters
    ----------
    found
        The prediction, as `prediction` makes it.
    interface
        The label config.
    width, height
        The picture's size in pixels.
    crop_id
        For messages.

    Raises
    ------
    LabelError
        For a wrong tag, label, choice or size, or a brush stream that cannot be read.
    """
    where = f"pre-annotation of {crop_id}"
    if not found.get("model_version") or not 0 <= found.get("score", -1) <= 1:
        raise LabelError(f"{where}: needs a model_version and a score of 0..1; found {found.get('score')!r}")
    for item in _items(found, where):
        if item.get("type") in _TAGS:
            _paint(item, interface, width, height, where)
        else:
            _chosen(item, interface, where)


def answer(annotation: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str) -> Answer:
    """Read one annotation.

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
    for item in _items(annotation, where):
        if item.get("type") in ("choices", "taxonomy"):
            chosen[item.get("from_name")] = _chosen(item, interface, where)
        else:
            regions.append(item)
    verdict = next(iter(chosen.get("verdict", ())), KEEP)
    mask = _merged(regions, interface, width, height, where) if verdict == KEEP else None
    parent = annotation.get("parent_prediction")
    return Answer(
        annotation_id=int(annotation["id"]),
        mask=mask,
        verdict=verdict,
        scenes=tuple(chosen.get("scenes", ())),
        origin=_origin(regions),
        parent_prediction=None if parent is None else int(parent),
        seconds_spent=float(annotation.get("lead_time") or 0.0),
    )


def painted(
    annotation: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str
) -> list[tuple[str, Mask]]:
    """Give an annotation's brush regions in their order, each with its label.

    Returns
    -------
    list of (str, Mask)
        The masks are (h, w), uint8, 0..255.

    Raises
    ------
    LabelError
        As `answer`, but for nothing being painted.
    """
    where = f"annotation {annotation.get('id')} of {crop_id}"
    regions = [item for item in _items(annotation, where) if item.get("type") not in ("choices", "taxonomy")]
    return [
        (_texts(region["value"].get(interface.kind))[0], mask)
        for region, mask in ((region, _paint(region, interface, width, height, where)) for region in regions)
    ]


def doubt(painted: Mask, pushed: Mask) -> str:
    """Say why a mask had better be looked at once more, or "": next to nothing is left of what was pushed.

    Parameters
    ----------
    painted, pushed
        Shape (h, w), uint8, 0..255: what came back, and what was sent. A pushed mask of less than a hundredth of the
        picture is nothing to compare with.
    """
    before, after = int((pushed >= 128).sum()), int((painted >= 128).sum())
    if before < _WORTH_COMPARING * pushed.size or after >= COLLAPSED_BELOW * before:
        return ""
    return (
        f"only {after} pixels are left of {before} that were pushed, less than {COLLAPSED_BELOW:.0%}: paint the person, choose "
        "a reason to reject, or submit the same again when it is right"
    )


def _items(annotation: Mapping[str, Any], where: str) -> Sequence[Mapping[str, Any]]:
    items = annotation.get("result") or []
    if not isinstance(items, Sequence) or not all(
        isinstance(item, Mapping) and isinstance(item.get("value"), Mapping) for item in items
    ):
        raise LabelError(f"{where}: its result is not a list of regions and answers: {str(items)[:80]!r}")
    return items


def _merged(regions: Sequence[Mapping[str, Any]], interface: Interface, width: int, height: int, where: str) -> Mask:
    mask = np.zeros((height, width), np.uint8)
    for region in regions:
        np.maximum(mask, _paint(region, interface, width, height, where), out=mask)
    if not (mask >= 128).any():
        raise LabelError(f"{where}: kept, but nothing is painted; paint the person or choose a reason to reject")
    return mask


def _paint(region: Mapping[str, Any], interface: Interface, width: int, height: int, where: str) -> Mask:
    """Read one brush region after checking that it is one."""
    _check_tags(region, interface, {interface.brush}, where)
    value = region["value"]
    found = _texts(value.get(interface.kind))
    unknown = [label for label in found if label not in interface.labels]
    if region.get("type") != interface.kind or unknown or not found:
        raise LabelError(
            f"{where}: region {region.get('id')!r} is {region.get('type')!r} labelled "
            f"{', '.join(found) or 'nothing'}; expected {interface.kind!r} labelled {' or '.join(interface.labels)}"
        )
    size = region.get("original_width"), region.get("original_height")
    if size != (width, height) or region.get("image_rotation"):
        raise LabelError(
            f"{where}: region {region.get('id')!r} is for a picture of {size[0]}x{size[1]} rotated by "
            f"{region.get('image_rotation') or 0}; the crop has {width}x{height}, not rotated"
        )
    try:
        if interface.kind == BITMASK:
            return bitmask.decode(value.get("imageDataURL") or "", width, height)
        return brush_rle.decode(value.get("rle") or [], width, height)
    except LabelError as error:
        raise LabelError(f"{where}: region {region.get('id')!r}: {error}") from error


def _chosen(item: Mapping[str, Any], interface: Interface, where: str) -> tuple[str, ...]:
    """Read one question's answers after checking that they are offered."""
    _check_tags(item, interface, set(interface.choices), where)
    name, found = item["from_name"], _texts(item["value"].get("choices"))
    unknown = [choice for choice in found if choice not in interface.choices[name]]
    if item.get("type") != "choices" or unknown or (len(found) > 1 and name not in interface.several):
        raise LabelError(
            f"{where}: {name} says {', '.join(map(repr, found)) or 'nothing'}; expected "
            f"{'any' if name in interface.several else 'one'} of {', '.join(interface.choices[name])}"
        )
    return found


def _check_tags(item: Mapping[str, Any], interface: Interface, names: set[str], where: str) -> None:
    found = item.get("from_name"), item.get("to_name")
    if found[0] not in tuple(names) or found[1] != interface.image:
        raise LabelError(
            f"{where}: item {item.get('id')!r} goes from {found[0]!r} to {found[1]!r}; the label config has "
            f"{', '.join(sorted(names))} to {interface.image}"
        )


def _texts(found: Any) -> tuple[str, ...]:
    """Give a list of answers as text, whatever stands there instead of a list."""
    return tuple(map(str, found)) if isinstance(found, (list, tuple)) else () if found is None else (str(found),)


def _origin(regions: Sequence[Mapping[str, Any]]) -> Origin:
    """Say where a mask comes from: one untouched region among drawn ones makes a changed prediction."""
    origins = {str(region.get("origin", "manual")) for region in regions}
    if origins == {"prediction"}:
        return "prediction"
    if origins <= {"manual"}:
        return "manual"
    return "prediction-changed"
