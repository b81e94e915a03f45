"""One person and nobody else: a matte with fine edges, restricted to one person by an instance mask and the joints.

Two networks see the crop. Robust Video Matting (Lin et al., WACV 2022) has fine edges and includes every person; a YOLO
segmentation network has rough edges and separates people and objects. Their mean decides: where both are confident they
agree, where one errs the other pulls it below or above one half. The joints overrule a matte that misses most of them.
Then what belongs to the person is added and what belongs to others is subtracted:

* worn or held objects (`HELD`) belong to the person whose mask they touch most;
* ridden objects (`RIDDEN`) belong to the person above them: hips over the object, feet not below its lower edge;
* other people's masks are subtracted where their value is higher than this person's.

Half transparent pixels far from the border are no hair but a disagreement: there the alpha becomes 0 or 1, the nearer one.

How each part was chosen, with figures: ``docs/mattes.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground import plugins
from figureground.errors import PluginError
from figureground.imaging import geometry, masks
from figureground.inference.yolo import Instance
from figureground.mattes import confidence, refinement, video_matting
from figureground.mattes.refinement import Refinement, RoughMatte
from figureground.people import instances, pose_regions
from figureground.types import Alpha, Box, Keypoints, PersonCrop, Weights

HELD = frozenset(
    ("backpack", "handbag", "tie", "baseball bat", "baseball glove", "tennis racket", "bottle", "cup", "cell phone")
)
"""COCO's classes of objects that are worn or held; not umbrella, which the network sees in many dark corners."""

RIDDEN = frozenset(("bicycle", "motorcycle", "skis", "snowboard", "skateboard", "surfboard"))
"""COCO's classes of objects that carry a person and move with it."""

_SCORE_AT_LEAST, _OTHER_SCORE_AT_LEAST, _OBJECT_SCORE_AT_LEAST = 0.15, 0.25, 0.25
_REFINED_OBJECT_SCORE_AT_LEAST = 0.4  # SAM 2 outlines whatever it is pointed at: a doubtful object would come out whole
_SAME_PERSON_AT_LEAST = 0.5  # of the smaller mask inside the other
_JOINTS_AT_LEAST = 0.6  # of the visible ones on the matte
_BORDER = 0.015  # of the crop's height
_STEP = 64  # px: crops of one track then mostly have one size; 32 saves less, 128 hardly more
_TOUCHING = np.ones((5, 5), np.uint8)


@dataclass(frozen=True)
class OnePerson:
    """Separates the person the crop was cut for.

    Parameters
    ----------
    matting
        The catalog's asset: Robust Video Matting as ONNX.
    instances
        The catalog's asset: a YOLO segmentation network as a ``.pt`` file with COCO's classes.
    ridden
        Whether ridden objects belong to the person.
    matting_size
        The longer side of the matting network's small copy, pixels.
    device
        ``auto`` takes CUDA for the matting network where there is a device, ``cpu`` never does.
    refine
        Settings of a refinement with SAM 2, see `figureground.mattes.refinement`; None means no refinement.

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
    refine: Refinement | None = None

    def __post_init__(self) -> None:
        """Refuse weights of another kind."""
        if not (self.matting.name.startswith("rvm_") and self.matting.name.endswith(".onnx")):
            raise PluginError(f"removers.person has no matting {self.matting.name!r}; it has: rvm_mobilenetv3_fp32.onnx")
        plugins.outlining(self.instances, "removers.person")

    def estimate_alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
        """Give one alpha a crop, each of its crop's own size.

        Parameters
        ----------
        crops
            Any number of them; their images are (h, w, 3) uint8 RGB. Each is processed on its own.

        Returns
        -------
        list of ndarray
            Shape (h, w), float32, 0 to 1; all 0 where neither the instance mask nor a joint says that there is a person.

        Raises
        ------
        ArrayError
            When an image is not one.
        AssetError
            When weights are not in the cache, not the pinned ones, or have no class "person".
        """
        return [alpha for alpha, _ in self.estimate_with_confidence(crops)]

    def estimate_with_confidence(self, crops: Sequence[PersonCrop]) -> list[tuple[Alpha, float]]:
        """Give one alpha a crop with its confidence, 0 to 1; see `estimate_alphas` and `figureground.mattes.confidence`."""
        return [self._estimate(crop) for crop in crops]

    def _estimate(self, crop: PersonCrop) -> tuple[Alpha, float]:
        masks.check_image(crop.image, f"image of {crop.crop_id}")
        matte, _ = video_matting.estimate_alpha(self.matting, crop.image, self.matting_size, device=self.device, step=_STEP)
        classes = {"person"} | HELD | (RIDDEN if self.ridden else frozenset())
        segmented = instances.read_or_segment(crop, self.instances).image_masks(_SCORE_AT_LEAST, classes)
        people = [instance for instance in segmented if instance.class_name == "person"]
        own = _choose_own(people, crop)
        if own is None:
            unconfirmed = confidence.measure_confidence(matte, crop, matte, np.zeros_like(matte))
            return _confirm_by_joints(matte, crop), unconfirmed
        others = _others(people, own)
        belongings = [instance for instance in segmented if _belongs(instance, crop, own, [other.alpha for other in others])]
        alpha, measured = _fuse(matte, own, belongings, others, crop)
        if self.refine is None or measured >= self.refine.below:
            return alpha, measured
        likely = [instance for instance in belongings if instance.score >= _REFINED_OBJECT_SCORE_AT_LEAST]
        if len(likely) < len(belongings):
            alpha, _ = _fuse(matte, own, likely, others, crop)
        body, _ = _fuse(matte, own, [], others, crop) if likely else (alpha, measured)
        objects, rivals = [(instance.box, instance.alpha) for instance in likely], [other.box for other in others]
        refined, agreement = refinement.refine(self.refine, crop, RoughMatte(alpha, body, objects, rivals), self.device)
        return _decide(refined), confidence.measure_refined_confidence(refined, crop, measured, agreement)


def _fuse(
    matte: Alpha, own: Instance, belongings: Sequence[Instance], others: Sequence[Instance], crop: PersonCrop
) -> tuple[Alpha, float]:
    """Fuse the matte and the masks of the person, their objects and other people; give the alpha and its confidence."""
    objects = _maximum([instance.alpha for instance in belongings], matte)
    mask = np.maximum(own.alpha, objects)
    weight = _matte_weight(matte, own, crop)
    alpha = np.maximum(weight * matte + (1 - weight) * _blur(own.alpha), _blur(objects))
    strangers = _maximum([other.alpha for other in others], matte)
    alpha, matte = _subtract(alpha, mask, strangers), _subtract(matte, mask, strangers)
    return _decide(alpha), confidence.measure_confidence(alpha, crop, np.maximum(matte, objects), mask)


def _belongs(instance: Instance, crop: PersonCrop, own: Instance, others: Sequence[Alpha]) -> bool:
    """Tell whether an object belongs to the person."""
    if instance.class_name == "person" or instance.score < _OBJECT_SCORE_AT_LEAST:
        return False
    if not _touches_most(instance.alpha, own.alpha, others):
        return False
    return instance.class_name in HELD or _carries(instance.box, crop, own)


def _choose_own(people: Sequence[Instance], crop: PersonCrop) -> Instance | None:
    """Choose the person the crop was cut for: the box that fits the detector's best, weighed by its score and its joints."""
    box = geometry.shift(crop.person, -crop.box.x0, -crop.box.y0)
    fits = [
        (_fit(instance.box, box, instance.score, confidence.share_of_joints_inside(instance.alpha, crop)), number)
        for number, instance in enumerate(people)
    ]
    fit, number = max(fits, default=(0.0, 0))
    return people[number] if fit >= 0.1 else None


def _fit(box: Box, detected: Box, score: float, joints_inside: float) -> float:
    return geometry.iou(box, detected) * (1 + score) * (1 + joints_inside) / 4


def _confirm_by_joints(matte: Alpha, crop: PersonCrop) -> Alpha:
    """Keep a matte that no instance mask confirms when the joints do: at least one is visible, and half of them lie on it."""
    visible = len(crop.keypoints) and bool((crop.keypoints[:, 2] >= pose_regions.VISIBLE_AT_LEAST).any())
    confirmed = visible and confidence.share_of_joints_inside(matte, crop) >= 0.5
    return _decide(matte) if confirmed else np.zeros_like(matte)


def _decide(alpha: Alpha) -> Alpha:
    """Make an alpha 0 or 1 away from its border, from `_BORDER` of the crop's height on, wholly so from twice that."""
    inside = masks.to_mask(alpha)
    if not inside.any():
        return np.zeros_like(alpha)
    reach = max(3.0, _BORDER * alpha.shape[0])
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    far = np.clip(distance / np.float32(reach) - 1, 0, 1)
    return np.asarray(alpha + far * (inside - alpha), np.float32)


def _matte_weight(matte: Alpha, own: Instance, crop: PersonCrop) -> np.float32:
    """Give the matting network's weight: one half, or less where it misses most joints, as it does against the light."""
    on_matte = confidence.share_of_joints_inside(matte, crop)
    on_mask = confidence.share_of_joints_inside(own.alpha, crop)
    return np.float32(0.5 if on_matte >= min(_JOINTS_AT_LEAST, on_mask) else on_matte / (on_matte + on_mask))


def _others(people: Sequence[Instance], own: Instance) -> list[Instance]:
    """Give the other people: a mask that lies mostly on the person's is a second detection of the same one."""
    own_mask = own.alpha > 0.5
    rivals = [instance for instance in people if instance is not own and instance.score >= _OTHER_SCORE_AT_LEAST]
    return [rival for rival in rivals if _shared_part(rival.alpha > 0.5, own_mask) < _SAME_PERSON_AT_LEAST]


def _shared_part(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    smaller = min(int(first.sum()), int(second.sum()))
    return int((first & second).sum()) / smaller if smaller else 1.0


def _touches_most(instance: Alpha, own: Alpha, others: Sequence[Alpha]) -> bool:
    near = cv2.dilate((instance > 0.5).astype(np.uint8), _TOUCHING) > 0
    contact = int((near & (own > 0.5)).sum())
    return contact > 0 and all(int((near & (other > 0.5)).sum()) <= contact for other in others)


def _carries(ridden: Box, crop: PersonCrop, own: Instance) -> bool:
    """Tell whether an object is under the person: hips over it, feet not below its lower edge unless the crop cuts that."""
    height = crop.image.shape[0]
    hips, feet = _visible_joints(crop, pose_regions.HIPS), _visible_joints(crop, pose_regions.ANKLES)
    middle = float(hips[:, 0].mean()) if len(hips) else (own.box.x0 + own.box.x1) / 2
    lowest = float(feet[:, 1].max()) if len(feet) else own.box.y1
    slack = 0.1 * ridden.width
    above = ridden.x0 - slack <= middle <= ridden.x1 + slack
    return above and (ridden.y1 >= height - 3 or lowest <= ridden.y1 - 0.02 * height)


def _visible_joints(crop: PersonCrop, joints: Sequence[int]) -> Keypoints:
    keypoints = crop.keypoints[list(joints)] if len(crop.keypoints) else crop.keypoints
    return keypoints[keypoints[:, 2] >= pose_regions.VISIBLE_AT_LEAST]


def _maximum(alphas: Sequence[Alpha], like: Alpha) -> Alpha:
    return np.asarray(np.max(alphas, axis=0) if alphas else np.zeros_like(like), np.float32)


def _blur(alpha: Alpha) -> Alpha:
    """Blur by one pixel: the mask comes from a quarter of the network's resolution and has steps."""
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 1), np.float32)


def _subtract(alpha: Alpha, own: Alpha, strangers: Alpha) -> Alpha:
    """Subtract other people where their mask is higher than this person's."""
    return np.asarray(alpha * (1 - np.where(strangers > own, strangers, np.float32(0))), np.float32)
