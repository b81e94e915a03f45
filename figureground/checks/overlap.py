"""Does another person reach into this one."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground import plugins
from figureground.imaging import geometry
from figureground.inference.yolo import Instance
from figureground.people import instances, pose_regions
from figureground.types import Box, PersonCrop, Weights

_SHRINK = 0.1  # of the box, on each side: what is near a box's corners is seldom the person in it
_DOUBTFUL = 0.08  # a person half hidden behind another is seldom found with more certainty
_SAME = 0.5  # a mask this much inside the person's, or around it, is a second guess at the same person
_TOUCHING = 0.015  # of the person's height


@dataclass(frozen=True)
class Overlap:
    """How much of the person lies inside other people's boxes, or how sure it is that another person touches.

    Parameters
    ----------
    at_most
        The limit.
    instances
        The catalog's asset: a YOLO segmentation network as a ``.pt`` file. Without it only boxes are looked at.
    """

    VERSION: ClassVar[int] = 1

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.1
    instances: Weights | None = None

    def __post_init__(self) -> None:
        """Refuse weights of another kind."""
        if self.instances:
            plugins.outlining(self.instances, "checks.overlap")

    def measure(self, crop: PersonCrop) -> float:
        """Give the largest of: the person's share inside others' boxes, its body's share, and the surest touching mask.

        Other people's boxes are shrunk by a tenth on their sides: somebody beside the person, whose box only touches,
        is nobody in the way. Who stands in front is not known; either way two people are in one another's outline.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            0 (nobody else is near) to 1 (somebody else is all over): a share of the person, or the network's confidence
            that somebody else is there whose mask comes within 1.5 % of the person's height of the person's own.

        Raises
        ------
        AssetError
            When `instances` is not in the cache, is not the pinned file, or knows no person.
        """
        others = [geometry.grow(other, -_SHRINK) for other in crop.others]
        share = max(geometry.covered(crop.person_inside, others), _body_inside(crop, others)) if others else 0.0
        if self.instances is None:
            return share
        return max(share, _touching(crop, instances.read_or_segment(crop, self.instances).image_masks(_DOUBTFUL, {"person"})))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def _body_inside(crop: PersonCrop, others: list[Box]) -> float:
    area = pose_regions.person_area(crop)
    theirs = np.zeros_like(area)
    for other in others:
        corners = (round(other.x0), round(other.y0)), (round(other.x1) - 1, round(other.y1) - 1)
        if other.x0 < other.x1 and other.y0 < other.y1:
            cv2.rectangle(theirs, *corners, 1, -1)
    return float((area & theirs).sum() / max(1, int(area.sum())))


def _touching(crop: PersonCrop, people: list[Instance]) -> float:
    """Give the score of the surest other person whose mask touches the person's, 0 when there is none."""
    box = crop.person_inside
    mine = max(people, key=lambda person: geometry.iou(person.box, box) * (1 + person.score), default=None)
    if mine is None:
        return 0.0
    own, reach = mine.alpha > 0.5, 2 * max(1, int(_TOUCHING * max(box.width, box.height))) + 1
    near = cv2.dilate(own.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    others = [person for person in people if person is not mine and _inside(person.alpha > 0.5, own) < _SAME]
    return max((min(1.0, person.score) for person in others if ((person.alpha > 0.5) & near).any()), default=0.0)


def _inside(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((mask & other).sum() / max(1, min(int(mask.sum()), int(other.sum()))))
