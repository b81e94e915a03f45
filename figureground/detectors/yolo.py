"""People found by an ultralytics YOLO network (https://docs.ultralytics.com/models/yolo11/), boxes and COCO keypoints.

On a CPU the weights are converted once and run in OpenVINO, without torch; with a CUDA device ultralytics runs them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from figureground.errors import AssetError
from figureground.imaging import geometry
from figureground.inference import backends, letterbox, ultralytics_model, yolo
from figureground.inference.ultralytics_model import UltralyticsModel
from figureground.types import Box, Image, Person, Weights


@dataclass(frozen=True)
class Yolo:
    """A YOLO network, used for its class "person" only.

    Parameters
    ----------
    weights
        A ``.pt`` file of ultralytics; a pose model gives keypoints, any other gives none.
    score_at_least
        Predictions with a lower score are left out, 0..1.
    image_size
        Pixels of the longer side of the network's input, a multiple of 32.
    batch_at_most
        How many images go through the network at a time.
    device
        ``auto`` takes CUDA where there is a device, ``cpu`` never does.
    """

    VERSION: ClassVar[int] = 1

    weights: Weights
    score_at_least: Annotated[float, Field(ge=0, le=1)] = 0.4
    image_size: Annotated[int, Field(ge=32, multiple_of=32)] = 640
    batch_at_most: Annotated[int, Field(ge=1)] = 8
    device: Literal["auto", "cpu"] = "auto"

    def find(self, images: Sequence[Image]) -> list[list[Person]]:
        """Find the people of each image.

        Parameters
        ----------
        images
            Each (h, w, 3) uint8 RGB, of any sizes; the people of one do not depend on the others.

        Returns
        -------
        list of list of Person
            Best score first; boxes clipped to the image; keypoints (17, 3) with confidence 0..1, or (0, 3).

        Raises
        ------
        AssetError
            When the weights are not in the cache, are not the pinned ones, or have no class "person".
        """
        _check_suffix(self.weights)
        on_gpu = self.device == "auto" and ultralytics_model.has_cuda()
        find_in_batch = self._with_ultralytics() if on_gpu else self._with_openvino()
        return [people for batch in _batches(images, self.batch_at_most) for people in find_in_batch(batch)]

    def _with_openvino(self) -> Callable[[Sequence[Image]], list[list[Person]]]:
        names = backends.read_class_names(self.weights)
        person_class = _person_class(dict(enumerate(names)), self.weights)
        return lambda batch: self._run_openvino(batch, person_class, len(names))

    def _with_ultralytics(self) -> Callable[[Sequence[Image]], list[list[Person]]]:
        model = ultralytics_model.find_or_open(self.weights)
        person_class = _person_class(model.class_names, self.weights)
        return lambda batch: self._run_ultralytics(model, batch, person_class)

    def _run_openvino(self, batch: Sequence[Image], person_class: int, class_count: int) -> list[list[Person]]:
        inputs = [letterbox.letterbox_image(image, self.image_size) for image in batch]
        (outputs,) = backends.run(self.weights, np.concatenate([pixels for pixels, _ in inputs]))
        return [
            [Person(*person) for person in yolo.decode_people(output, fit, person_class, class_count, self.score_at_least)]
            for output, (_, fit) in zip(outputs, inputs, strict=True)
        ]

    def _run_ultralytics(self, model: UltralyticsModel, batch: Sequence[Image], person_class: int) -> list[list[Person]]:
        results = model.predict(batch, person_class, self.score_at_least, self.image_size)
        return [_people(result, image) for result, image in zip(results, batch, strict=True)]


def _batches(images: Sequence[Image], at_most: int) -> Iterator[list[Image]]:
    """Group images of one shape: in a mixed batch they would be padded differently and give other boxes."""
    for _, same_shape in groupby(images, key=lambda image: image.shape):
        group = list(same_shape)
        yield from (group[start : start + at_most] for start in range(0, len(group), at_most))


def _people(result: Any, image: Image) -> list[Person]:
    """Convert ultralytics' result; its boxes are (n, 4) and its keypoints (n, 17, 3), both in image pixels."""
    boxes = result.boxes.xyxy.cpu().numpy().astype(float)
    scores = result.boxes.conf.cpu().numpy().astype(float)
    none = np.zeros((len(boxes), 0, 3), np.float32)
    keypoints = none if result.keypoints is None else result.keypoints.data.cpu().numpy().astype(np.float32)
    bounds = Box(0, 0, image.shape[1], image.shape[0])
    order = sorted(range(len(boxes)), key=lambda n: (-scores[n], *boxes[n]))
    return [
        Person(box, float(scores[n]), keypoints[n].reshape(-1, 3))
        for n in order
        if (box := geometry.clip(Box(*map(float, boxes[n])), bounds))
    ]


def _person_class(names: Mapping[int, str], weights: Weights) -> int:
    numbers = [int(number) for number, name in names.items() if name == "person"]
    if not numbers:
        raise AssetError(f"{weights.name} knows no class 'person'; it knows: {', '.join(names.values())}")
    return numbers[0]


def _check_suffix(weights: Weights) -> None:
    suffix = Path(weights.name).suffix
    if suffix != ".pt":
        raise AssetError(f"{weights.name}: expected ultralytics weights, a .pt file; found {suffix or 'no extension'}")
