"""One person and nobody else: a fine matte made to mean one person by an instance mask and the joints.

Two networks look at the crop. Robust Video Matting (Lin et al., WACV 2022) has fine edges and mats everybody; a YOLO
segmentation network has rough edges and tells people and things apart. Their mean decides: where both are sure they
agree, where one errs the other pulls it below or above one half. The joints overrule a matte that misses most of them.
Then what belongs to the person is added and what belongs to others is taken away:

* worn or held things (`HELD`) belong to the person whose mask they touch most;
* things ridden (`RIDDEN`) belong to the person above them: hips over the thing, feet not below its lower edge;
* other people's masks are subtracted, where they are surer of a pixel than this person's is.

What is half transparent far from the border is no hair but a disagreement: there the alpha becomes what its half says.

How each part was chosen, with figures: ``docs/mattes.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground import plugins
from figureground.errors import PluginError
from figureground.imaging import geometry, masks
from figureground.inference.yolo import Instance
from figureground.mattes import confidence, video_matting
from figureground.people import instances, pose_regions
from figureground.types import Alpha, Box, PersonCrop, Weights

HELD = frozenset(
    ("backpack", "handbag", "tie", "baseball bat", "baseball glove", "tennis racket", "bottle", "cup", "cell phone")
)
"""COCO's things that are worn or held; not umbrella, which is found in many dark corners."""

RIDDEN = frozenset(("bicycle", "motorcycle", "skis", "snowboard", "skateboard", "surfboard"))
"""COCO's things that carry a person and move with it."""

_PERSON_AT_LEAST, _OTHER_AT_LEAST, _THING_AT_LEAST = 0.15, 0.25, 0.25
_SAME = 0.5
_MISSED = 0.6
_BORDER = 0.015
_STEP = 64  # crops of one track then mostly have one size; 32 saves less, 128 hardly more
_TOUCH = np.ones((5, 5), np.uint8)


@dataclass(frozen=True)
class OnePerson:
    """Finds the person the crop was cut for.

    Parameters
    ----------
    matting
        The catalog's asset: Robust Video Matting as ONNX.
    instances
        The catalog's asset: a YOLO segmentation network as a ``.pt`` file with COCO's classes.
    ridden
        Whether what the person rides belongs to it.
    matting_size
        The longer side that the matting network looks at, pixels.
    device
        ``auto`` takes CUDA for the matting network where there is a device, ``cpu`` never does.

    Raises
    ------
    PluginError
        When an asset is not of its kind by its name.
    """

    VERSION: ClassVar[int] = 1

    matting: Weights
    instances: Weights
    ridden: bool = True
    matting_size: Annotated[int, Field(ge=64, le=2048)] = 384
    device: Literal["auto", "cpu"] = "auto"

    def __post_init__(self) -> None:
        """Refuse weights of another kind."""
        if not (self.matting.name.startswith("rvm_") and self.matting.name.endswith(".onnx")):
            raise PluginError(f"removers.person has no matting {self.matting.name!r}; it has: rvm_mobilenetv3_fp32.onnx")
        plugins.outlining(self.instances, "removers.person")

    def alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
        """Give one alpha a crop, each of its crop's own size.

        Parameters
        ----------
        crops
            Any number of them; their images are (h, w, 3) uint8 RGB. Each is matted for itself.

        Returns
        -------
        list of ndarray
            Shape (h, w), float32, 0 to 1; all 0 where nobody is seen: neither the instance mask nor a joint says there is.

        Raises
        ------
        ArrayError
            When an image is not one.
        AssetError
            When weights are not in the cache, not the pinned ones, or know no person.
        """
        return [alpha for alpha, _ in self.scored(crops)]

    def scored(self, crops: Sequence[PersonCrop]) -> list[tuple[Alpha, float]]:
        """Give one alpha a crop with how sure it is, 0 to 1; see `alphas` and `figureground.mattes.confidence`."""
        return [self._scored(crop) for crop in crops]

    def _scored(self, crop: PersonCrop) -> tuple[Alpha, float]:
        masks.check_image(crop.image, f"image of {crop.crop_id}")
        matte, _ = video_matting.alpha(self.matting, crop.image, self.matting_size, device=self.device, step=_STEP)
        found = instances.of(crop, self.instances).masks(
            _PERSON_AT_LEAST, {"person"} | HELD | (RIDDEN if self.ridden else frozenset())
        )
        people = [one for one in found if one.name == "person"]
        mine = _mine(people, crop)
        if mine is None:
            return _vouched(matte, crop), confidence.score(matte, crop, matte, np.zeros_like(matte))
        others = _others(people, mine)
        things = _joined([one.alpha for one in found if _belongs(one, crop, mine, others)], matte)
        whole = np.maximum(mine.alpha, things)
        share = _share(matte, mine, crop)
        alpha = np.maximum(share * matte + (1 - share) * _soft(mine.alpha), _soft(things))
        strange = _joined(others, matte)
        alpha, matte = _without(alpha, whole, strange), _without(matte, whole, strange)
        return _decided(alpha), confidence.score(alpha, crop, np.maximum(matte, things), whole)


def _belongs(thing: Instance, crop: PersonCrop, mine: Instance, others: Sequence[Alpha]) -> bool:
    if thing.name == "person" or thing.score < _THING_AT_LEAST or not _touches_most(thing.alpha, mine.alpha, others):
        return False
    return thing.name in HELD or _carries(thing.box, crop, mine)


def _mine(people: Sequence[Instance], crop: PersonCrop) -> Instance | None:
    """Choose whom the crop was cut for: the box that fits the detector's best, weighed by its score and the joints in it."""
    x, y = crop.box.x0, crop.box.y0
    box = geometry.shift(crop.person, -x, -y)
    fits = [
        (geometry.iou(one.box, box) * (1 + one.score) * (1 + confidence.joints_inside(one.alpha, crop)) / 4, n)
        for n, one in enumerate(people)
    ]
    fit, n = max(fits, default=(0.0, 0))
    return people[n] if fit >= 0.1 else None


def _vouched(matte: Alpha, crop: PersonCrop) -> Alpha:
    """Give a matte that no instance mask confirms if the joints do: with at least one seen, and half of them on it."""
    known = len(crop.keypoints) and bool((crop.keypoints[:, 2] >= pose_regions.VISIBLE).any())
    return _decided(matte) if known and confidence.joints_inside(matte, crop) >= 0.5 else np.zeros_like(matte)


def _decided(alpha: Alpha) -> Alpha:
    """Make an alpha 0 or 1 away from its border, from `_BORDER` of the picture's height on, wholly so from twice that."""
    inside = masks.to_mask(alpha)
    if not inside.any():
        return np.zeros_like(alpha)
    reach = max(3.0, _BORDER * alpha.shape[0])
    away = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    far = np.clip(away / np.float32(reach) - 1, 0, 1)
    return np.asarray(alpha + far * (inside - alpha), np.float32)


def _share(matte: Alpha, mine: Instance, crop: PersonCrop) -> np.float32:
    """Weigh the matting network's word: one half, or less where it misses most joints, as it does against the light."""
    seen, known = confidence.joints_inside(matte, crop), confidence.joints_inside(mine.alpha, crop)
    return np.float32(0.5 if seen >= min(_MISSED, known) else seen / (seen + known))


def _others(people: Sequence[Instance], mine: Instance) -> list[Alpha]:
    """Give the masks of those who are somebody else: a mask lying mostly on mine is a second guess at the same person."""
    own = mine.alpha > 0.5
    rivals = [one.alpha for one in people if one is not mine and one.score >= _OTHER_AT_LEAST]
    return [rival for rival in rivals if _same(rival > 0.5, own) < _SAME]


def _same(one: NDArray[np.bool_], own: NDArray[np.bool_]) -> float:
    smaller = min(int(one.sum()), int(own.sum()))
    return int((one & own).sum()) / smaller if smaller else 1.0


def _touches_most(thing: Alpha, mine: Alpha, others: Sequence[Alpha]) -> bool:
    near = cv2.dilate((thing > 0.5).astype(np.uint8), _TOUCH) > 0
    contact = int((near & (mine > 0.5)).sum())
    return contact > 0 and all(int((near & (other > 0.5)).sum()) <= contact for other in others)


def _carries(thing: Box, crop: PersonCrop, mine: Instance) -> bool:
    """Tell whether a thing is under a person: hips over it, feet not below its lower edge unless the crop cuts that off."""
    height = crop.image.shape[0]
    hips, feet = _seen(crop, pose_regions.HIPS), _seen(crop, pose_regions.ANKLES)
    middle = float(hips[:, 0].mean()) if len(hips) else (mine.box.x0 + mine.box.x1) / 2
    lowest = float(feet[:, 1].max()) if len(feet) else mine.box.y1
    slack = 0.1 * thing.width
    above = thing.x0 - slack <= middle <= thing.x1 + slack
    return above and (thing.y1 >= height - 3 or lowest <= thing.y1 - 0.02 * height)


def _seen(crop: PersonCrop, joints: Sequence[int]) -> Any:
    points = crop.keypoints[list(joints)] if len(crop.keypoints) else crop.keypoints
    return points[points[:, 2] >= pose_regions.VISIBLE]


def _joined(alphas: Sequence[Alpha], like: Alpha) -> Alpha:
    return np.asarray(np.max(alphas, axis=0) if alphas else np.zeros_like(like), np.float32)


def _soft(alpha: Alpha) -> Alpha:
    """Blur by one pixel: the mask comes from a quarter of the network's resolution and has steps."""
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 1), np.float32)


def _without(alpha: Alpha, own: Alpha, strange: Alpha) -> Alpha:
    """Take other people away where their mask is surer than this person's."""
    return np.asarray(alpha * (1 - np.where(strange > own, strange, np.float32(0))), np.float32)
