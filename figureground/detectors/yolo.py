"""People found by an ultralytics YOLO network (https://docs.ultralytics.com/models/yolo11/), boxes and COCO keypoints.

On a CPU the weights are converted once and run in OpenVINO, without torch; with a CUDA device ultralytics runs them.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np
import PIL.Image
from pydantic import Field

from figureground.errors import AssetError
from figureground.imaging import geometry
from figureground.inference import backends, yolo
from figureground.memo import Memo
from figureground.storage import assets
from figureground.types import Box, Image, Person, Weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Yolo:
    """A YOLO network, used for its class "person" only.

    Parameters
    ----------
    weights
        A ``.pt`` file of ultralytics; a pose model gives keypoints, any other gives none.
    score_at_least
        People with a lower score are not people, 0..1.
    image_size
        Pixels of the longer side that the network sees, a multiple of 32.
    batch_at_most
        How many pictures go through the network at a time.
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
        """Find the people of each picture.

        Parameters
        ----------
        images
            Each (h, w, 3) uint8 RGB, of any sizes; what is found in one does not depend on the others.

        Returns
        -------
        list of list of Person
            Best score first; boxes clipped to the picture; keypoints (17, 3) with confidence 0..1, or (0, 3).

        Raises
        ------
        AssetError
            When the weights are not in the cache, are not the pinned ones, or know no person.
        """
        _check_kind(self.weights)
        find = self._with_ultralytics() if self.device == "auto" and _has_cuda() else self._with_openvino()
        return [people for batch in _batches(images, self.batch_at_most) for people in find(batch)]

    def _with_openvino(self) -> Callable[[Sequence[Image]], list[list[Person]]]:
        names = backends.classes(self.weights)
        person = _person_class(dict(enumerate(names)), self.weights)
        return lambda batch: self._seen(batch, person, len(names))

    def _with_ultralytics(self) -> Callable[[Sequence[Image]], list[list[Person]]]:
        model = _model(self.weights)
        return lambda batch: self._predicted(model, batch)

    def _seen(self, batch: Sequence[Image], person: int, classes: int) -> list[list[Person]]:
        laid = [yolo.letterboxed(image, self.image_size) for image in batch]
        (answers,) = backends.run(self.weights, np.concatenate([pixels for pixels, _ in laid]))
        return [
            [Person(*one) for one in yolo.people(answer, place, person, classes, self.score_at_least)]
            for answer, (_, place) in zip(answers, laid, strict=True)
        ]

    def _predicted(self, model: "_UltralyticsModel", batch: Sequence[Image]) -> list[list[Person]]:
        results = model.predict(batch, self.score_at_least, self.image_size)
        return [_people(result, image) for result, image in zip(results, batch, strict=True)]


def _batches(images: Sequence[Image], at_most: int) -> Iterator[list[Image]]:
    """Only pictures of one shape share a batch: mixed ones would be padded differently and found differently."""
    for _, same in groupby(images, key=lambda image: image.shape):
        group = list(same)
        yield from (group[start : start + at_most] for start in range(0, len(group), at_most))


def _people(result: Any, image: Image) -> list[Person]:
    """Turn one ultralytics result into people; boxes are (n, 4) and keypoints (n, 17, 3), both in picture pixels."""
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
    found = [int(number) for number, name in names.items() if name == "person"]
    if not found:
        raise AssetError(f"{weights.name} knows no class 'person'; it knows: {', '.join(names.values())}")
    return found[0]


def _check_kind(weights: Weights) -> None:
    suffix = Path(weights.name).suffix
    if suffix != ".pt":
        raise AssetError(f"{weights.name}: expected ultralytics weights, a .pt file; found {suffix or 'no extension'}")


def _has_cuda() -> bool:
    """Tell whether torch sees a GPU; it is imported only where the system shows one."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return bool(torch.cuda.is_available())


class _UltralyticsModel:
    """An opened model: ultralytics keeps the running picture in it, so one thread at a time uses it."""

    def __init__(self, model: Any, weights: Weights) -> None:
        self._model = model
        self._person = _person_class(model.names, weights)
        self._lock = threading.Lock()

    def predict(self, images: Sequence[Image], score_at_least: float, image_size: int) -> list[Any]:
        """Give ultralytics' result for each picture."""
        with self._lock:
            results: list[Any] = self._model.predict(
                [cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in images],
                conf=score_at_least,
                imgsz=image_size,
                classes=[self._person],
                batch=len(images),
                verbose=False,
            )
            return results


_models = Memo()


def _model(weights: Weights) -> _UltralyticsModel:
    """Give the process's model with these weights. The file's hash is checked before it is opened: a .pt is a pickle."""
    return _models.get(weights.sha256, lambda: _UltralyticsModel(_open(assets.locate(weights), weights), weights))


def _open(path: Path, weights: Weights) -> Any:
    _import_quietly()
    from ultralytics import YOLO

    try:
        model = YOLO(str(path), verbose=False)
    except (TypeError, RuntimeError, ModuleNotFoundError) as error:
        raise AssetError(f"{weights.name} ({path}) is not a model ultralytics can open: {error}") from error
    logger.info("opened %s on %d threads", weights.name, _threads())
    return model


def _import_quietly() -> None:
    """Import ultralytics without its network calls, its files in the user's home, its log and its thread settings."""
    os.environ.update(
        YOLO_OFFLINE="true",
        YOLO_AUTOINSTALL="false",
        YOLO_VERBOSE="false",
        ULTRALYTICS_SAFE_LOAD="true",  # torch's weights_only, with ultralytics' list of known classes
    )
    os.environ.setdefault("YOLO_CONFIG_DIR", str(assets.cache_folder() / "ultralytics"))
    os.environ.setdefault("OMP_NUM_THREADS", str(_threads()))  # or it would set 1, for every library of this process
    opencv_threads, pillow_opens = cv2.getNumThreads(), PIL.Image.open
    import torch
    from ultralytics.utils import SETTINGS, events

    PIL.Image.open = pillow_opens  # the import's own one installs packages when it cannot read a file
    cv2.setNumThreads(opencv_threads)  # the import has set 0
    torch.set_num_threads(_threads())
    events.events.enabled = False
    if SETTINGS["sync"]:
        SETTINGS.update(sync=False)


def _threads() -> int:
    """All the cores this process may use, at most 8: a small network gains nothing from more."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
