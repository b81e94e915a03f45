"""Is the person hidden, by other people or by things."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground import plugins
from figureground.imaging import geometry
from figureground.people import backbone_features, occlusion_features, pose_regions
from figureground.people.backbone_features import FeatureCells
from figureground.types import Box, Mask, PersonCrop, PinnedHead, Weights

Floats = NDArray[np.float32]

_SHRINK = 0.1  # of the box, on each side: what is near a box's corners is seldom the person in it
_ENOUGH = 0.2  # more than a fifth overlapped is no worse
_AROUND = 0.2  # of the box: places farther out are as far out as this
_WORST = 12  # cells that most look like something in front
_LEAST = 0.003  # a share below it is as good as none
_FAR = 6.0  # standard deviations
_HEAD = PinnedHead("occlusion", version=1, sha256="950b6c47cb9dcc648d41f8915f8b57d61ad419b0f2e9cc9b07cc0f6ed47bd586")


@dataclass(frozen=True)
class Occlusion:
    """How likely others overlap the person or something hides it.

    Parameters
    ----------
    at_most
        The limit.
    network
        The catalog's asset: the YOLO11 pose network as a ``.pt`` file. Without it a thing in front is noticed only by what
        the detector doubts.
    instances
        The catalog's asset: a YOLO segmentation network with COCO's classes as a ``.pt`` file, whose outlines count, alone or
        beside `network`. It costs next to nothing where the recipe's ``crop: {instances: …}`` names the same.
    """

    VERSION: ClassVar[int] = 1
    HEAD: ClassVar[PinnedHead] = _HEAD

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.75
    network: Weights | None = None
    instances: Weights | None = None

    def __post_init__(self) -> None:
        """Refuse weights of another kind."""
        if self.instances:
            plugins.outlining(self.instances, "checks.occlusion")

    def measure(self, crop: PersonCrop) -> float:
        """Weigh the overlap with other people, doubt about the joints, the detector's own doubt, and what is seen in front.

        Overlapped is the share of the person's box inside other people's boxes, each shrunk by a tenth on its sides;
        who stands in front is not known, and either way two people are in one another's outline. With a network, a
        small learned head says for each 8th pixel of a small crop whether it shows background, the person or something
        before the person. With instances, outlines that leave out parts of the body, and those of others and of things,
        count (`figureground.people.occlusion_features`). All weights were learned on people with things and people pasted
        before them on purpose.

        Parameters
        ----------
        crop
            One person. Without keypoints only the overlap, the detector's score and what is in front are known.

        Returns
        -------
        float
            A likelihood, 0 (nothing in the way) to 1, where free and hindered people are as frequent.

        Raises
        ------
        AssetError
            When a network is not in the cache, is not the pinned file, or `network` has other layers.
        """
        return judged(backbone_features.load_arrays(_HEAD.name, _HEAD.sha256), crop, self.network, self.instances)

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def judged(head: Mapping[str, Floats], crop: PersonCrop, network: Weights | None, instances: Weights | None) -> float:
    """Give the likelihood that a head finds; without networks from the doubts alone. See `Occlusion.measure`."""
    doubted = doubts(crop)
    if network is None:
        if instances is None:
            return likelihood(doubted, head["doubted"])
        return likelihood(np.r_[doubted, occlusion_features.measure(crop, instances)], head["outlined"])
    seen = np.r_[shown(head, crop, network), doubted]
    if instances is None:
        return likelihood(seen, head["answer"])
    return likelihood(np.r_[seen, occlusion_features.measure(crop, instances)], head["both"])


def shown(head: Mapping[str, Floats], crop: PersonCrop, network: Weights) -> Floats:
    """Give (7,) what the cells of a crop show in front of the person, see `in_front`."""
    cells = backbone_features.compute_cells(crop, network)
    parts = areas(crop, cells)
    return in_front(classify_cells(head, describe_cells(crop, cells, *parts[:2])), *parts)


def likelihood(evidence: Floats, answer: Floats) -> float:
    """Weigh (n,) pieces of evidence by (n + 1,) weights, the last for none at all: 0 to 1."""
    return backbone_features.to_likelihood(float(evidence @ answer[:-1] + answer[-1]))


def doubts(crop: PersonCrop) -> Floats:
    """Give what the detector doubts and how much others overlap.

    Returns
    -------
    ndarray
        (18,) float32, each 0 to 1: doubt about each group of joints by its better seen joint (of a person seen from the side
        half is always hidden by the person), about each pair by its worse one, about the person; the shares of the box
        and of the body between the seen joints that are overlapped, as they are and up to a fifth as a share of a
        fifth. Without keypoints doubts are none.
    """
    seen = crop.keypoints[:, 2] if len(crop.keypoints) else np.ones(17, np.float32)
    best = [1 - seen[list(group)].max() for group in pose_regions.GROUPS]
    worst = [1 - seen[list(group)].min() for group in pose_regions.GROUPS[1:]]
    theirs, on_body = _drawn(crop, _others(crop)), pose_regions.person_area(crop)
    shares = (geometry.covered(crop.person_inside, _others(crop)), float((on_body & theirs).sum() / max(1, on_body.sum())))
    overlapped = [part for share in shares for part in (share, min(share, _ENOUGH) / _ENOUGH)]
    return np.array([*best, *worst, 1 - crop.score, *overlapped], np.float32)


def describe_cells(crop: PersonCrop, cells: FeatureCells, inside: Floats, on_body: Floats) -> Floats:
    """Give what is known of each cell.

    Parameters
    ----------
    crop, cells
        The crop, and what the network sees of it.
    inside, on_body
        (h, w), the first two `areas`.

    Returns
    -------
    ndarray
        (h, w, n) float32: what the network sees there, what it sees on the body on average (a thing differs from it),
        and where in the person's box the cell lies.
    """
    usual = np.tensordot(on_body, cells.values, axes=2) / (on_body.sum() + 1e-6)
    usual = np.broadcast_to(usual.astype(np.float32), cells.values.shape)
    x, y = cells.centres()
    box = crop.person_inside
    across = np.clip((x - box.x0) / max(1, box.width), -_AROUND, 1 + _AROUND)
    down = np.clip((y - box.y0) / max(1, box.height), -_AROUND, 1 + _AROUND)
    positions = np.stack([on_body, inside, down, across, (across - 0.5) ** 2], axis=-1)
    known: Floats = np.concatenate([cells.values, usual, positions], axis=-1).astype(np.float32)
    return known


def classify_cells(head: Mapping[str, Floats], known: Floats) -> Floats:
    """Let a head say what each cell shows.

    Parameters
    ----------
    head
        ``middle`` and ``spread`` (n,), ``first`` (n + 1, k) and ``second`` (k + 1, 3), their last rows being offsets.
    known
        (..., n), see `describe_cells`.

    Returns
    -------
    ndarray
        (..., 3) float32 that add up to 1: background, the person, something in front.
    """
    scaled = np.clip((known - head["middle"]) / head["spread"], -_FAR, _FAR)
    hidden: Floats = np.maximum(scaled @ head["first"][:-1] + head["first"][-1], 0)
    raw = hidden @ head["second"][:-1] + head["second"][-1]
    powers = np.exp(raw - raw.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def areas(crop: PersonCrop, cells: FeatureCells) -> tuple[Floats, Floats, Floats]:
    """Give how much of each cell is the person's box, the body between the seen joints, and others' boxes: (h, w), 0 to 1."""
    drawn = (_drawn(crop, [crop.person_inside]), pose_regions.person_area(crop), _drawn(crop, _others(crop)))
    box, on_body, theirs = (cells.average(plane) for plane in drawn)
    return box, on_body, theirs


def in_front(probabilities: Floats, box: Floats, on_body: Floats, theirs: Floats) -> Floats:
    """Sum up what cells show on the person.

    Parameters
    ----------
    probabilities
        (h, w, 3), see `classify_cells`.
    box, on_body, theirs
        See `areas`.

    Returns
    -------
    ndarray
        (7,) float32: logarithms of the share of the person's box and of the body between the seen joints that something
        is in front of, how sure the surest cells are, the share of the body that is seen; what share of all that is no
        background lies in others' boxes, as it is and up to a fifth, and what share of others' boxes is no background.
    """
    on_body = on_body * box
    seen, front = probabilities[..., 1], probabilities[..., 2]
    hidden = (front * box).sum() / ((front * box).sum() + (seen * box).sum() + 1e-6)
    of_body, seen_of_body = ((part * on_body).sum() / (on_body.sum() + 1e-6) for part in (front, seen))
    surest = np.sort((front * box).ravel())[-_WORST:].mean()
    any_person, shared = (seen + front) * box, theirs * box
    taken = (any_person * theirs).sum() / (any_person.sum() + 1e-6)
    filled = (any_person * theirs).sum() / (shared.sum() + 1e-6)
    logs = [np.log(hidden + _LEAST), np.log(of_body + _LEAST)]
    return np.array([*logs, surest, seen_of_body, taken, min(taken, _ENOUGH), filled], np.float32)


def _others(crop: PersonCrop) -> list[Box]:
    return [geometry.grow(other, -_SHRINK) for other in crop.others]


def _drawn(crop: PersonCrop, boxes: Sequence[Box]) -> Mask:
    """Draw boxes, (h, w)."""
    drawn = np.zeros(crop.image.shape[:2], np.uint8)
    for box in boxes:
        drawn[max(0, round(box.y0)) : max(0, round(box.y1)), max(0, round(box.x0)) : max(0, round(box.x1))] = 1
    return drawn
