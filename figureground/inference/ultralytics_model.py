"""YOLO models run by ultralytics and torch: only where torch has a CUDA device."""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import PIL.Image

from figureground.errors import AssetError
from figureground.inference import cores
from figureground.memo import Memo
from figureground.storage import assets
from figureground.types import Image, Weights

logger = logging.getLogger(__name__)

_THREADS_AT_MOST = 8
"""A small network gains nothing from more."""

_models = Memo()
"""The models this process has opened."""


class UltralyticsModel:
    """An opened model. ultralytics keeps the current image in it, so one thread at a time uses it.

    Attributes
    ----------
    class_names
        Each class' name by its number.
    """

    def __init__(self, model: Any) -> None:
        self.class_names: Mapping[int, str] = model.names
        self._model = model
        self._lock = threading.Lock()

    def predict(self, images: Sequence[Image], class_number: int, score_at_least: float, image_size: int) -> list[Any]:
        """Give ultralytics' result for each image, (h, w, 3) uint8 RGB, with the boxes of one class."""
        with self._lock:
            results: list[Any] = self._model.predict(
                [cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in images],
                conf=score_at_least,
                imgsz=image_size,
                classes=[class_number],
                batch=len(images),
                verbose=False,
            )
            return results


def has_cuda() -> bool:
    """Tell whether torch sees a GPU; it is imported only where the system shows one."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return bool(torch.cuda.is_available())


def find_or_open(weights: Weights) -> UltralyticsModel:
    """Give the process's model with these weights; the first call verifies and opens them, for a .pt file is a pickle.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or are not a model that ultralytics can open.
    """
    return _models.get(weights.sha256, lambda: _open(assets.locate(weights), weights))


def _open(path: Path, weights: Weights) -> UltralyticsModel:
    import_quietly()
    from ultralytics import YOLO

    try:
        model = YOLO(str(path), verbose=False)
    except (TypeError, RuntimeError, ModuleNotFoundError) as error:
        raise AssetError(f"{weights.name} ({path}) is not a model ultralytics can open: {error}") from error
    logger.info("opened %s on %d threads", weights.name, _threads())
    return UltralyticsModel(model)


def import_quietly() -> None:
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
    return min(_THREADS_AT_MOST, cores.usable_cores())
