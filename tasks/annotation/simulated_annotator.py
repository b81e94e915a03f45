"""The simulated annotator of the demo.

It works through the API under its own name, so that nobody takes its annotations for a person's.

What it does is fixed by rule. In each source, the matte with the lowest confidence is really corrected (see
`figureground.mattes.mask_cleanup`). A crop in which nobody was found is rejected, and so is one crop of the largest source,
the one with the fewest person pixels. All others are accepted as they were pushed.
"""

import logging
from collections.abc import Sequence
from typing import Any, Literal

from figureground.annotation import annotations, label_interface, predictions
from figureground.annotation.label_interface import Interface
from figureground.catalog import Catalog
from figureground.clients.annotation_server import Connect, connect
from figureground.clients.label_studio import ServerTask
from figureground.errors import LabelError
from figureground.mattes import mask_cleanup
from figureground.types import Mask

NAME = "stand-in"
EMAIL = "stand-in@figureground.local"
SECONDS = {"accept": 2.0, "correct": 20.0, "reject": 3.0}
Action = Literal["accept", "correct", "reject"]

_log = logging.getLogger(__name__)


def simulate_annotator(catalog: Catalog, connect: Connect = connect) -> dict[str, int]:
    """Annotate every task of the catalog's project that nobody has annotated.

    Parameters
    ----------
    catalog
        Gives the server and the project.
    connect
        How to reach the server.

    Returns
    -------
    dict
        How many were accepted, corrected, rejected, and left alone because they were annotated already.

    Raises
    ------
    LabelError
        When the server cannot be used or has no such project.
    TransientError
        When the connection broke; running again annotates the rest.
    """
    interface, _ = label_interface.load_interface(catalog.label_config_file, catalog.label_studio.mask)
    counts = {"accepted": 0, "corrected": 0, "rejected": 0, "left": 0}
    with connect(catalog) as server:
        project = server.find_project(catalog)
        if project is None:
            raise LabelError(f"the Label Studio at {server.url} has no project {catalog.label_studio.project!r}; push first")
        annotator_id = server.make_annotator(NAME, EMAIL)
        tasks = [task for task in server.list_tasks(project) if task.content.get("predictions")]
        actions = _decide(tasks, interface)
        for task in tasks:
            if task.content.get("annotations"):
                counts["left"] += 1
                continue
            action = actions[task.task_id]
            server.add_annotation(
                task,
                _make_result(action, task, interface),
                annotator_id=annotator_id,
                seconds=SECONDS[action],
                prediction_id=task.content["predictions"][0]["id"],
            )
            counts[f"{action}ed"] += 1
    _log.info("the simulated annotator annotated: %s", counts)
    return counts


def _decide(tasks: Sequence[ServerTask], interface: Interface) -> dict[int, Action]:
    """Decide over all tasks, annotated or not, so that a second run decides the same."""
    actions: dict[int, Action] = {task.task_id: "accept" if _regions(task) else "reject" for task in tasks}
    sources: dict[str, list[ServerTask]] = {}
    for task in tasks:
        if _regions(task):
            sources.setdefault(task.content["data"]["source"], []).append(task)
    for group in sources.values():
        actions[min(group, key=_confidence).task_id] = "correct"
    largest = max(sources.values(), key=len, default=[])
    rest = [task for task in largest if actions[task.task_id] == "accept"]
    if rest:
        actions[min(rest, key=lambda task: _count_pixels(task, interface)).task_id] = "reject"
    return actions


def _confidence(task: ServerTask) -> tuple[float, str]:
    score = task.content["predictions"][0].get("score") or 0.0
    return float(score), str(task.content["data"]["crop_id"])


def _count_pixels(task: ServerTask, interface: Interface) -> tuple[int, str]:
    return int((_mask(task, interface) > 0).sum()), str(task.content["data"]["crop_id"])


def _regions(task: ServerTask) -> list[dict[str, Any]]:
    return [
        item
        for item in task.content["predictions"][0]["result"]
        if item["type"] in (label_interface.BRUSH, label_interface.BITMASK)
    ]


def _mask(task: ServerTask, interface: Interface) -> Mask:
    (region,) = _regions(task)
    size = region["original_width"], region["original_height"]
    ((_, mask),) = annotations.read_regions({"result": [region]}, interface, *size, str(task.content["data"]["crop_id"]))
    return mask


def _make_result(action: Action, task: ServerTask, interface: Interface) -> list[dict[str, Any]]:
    """Make what an annotator would submit; the scenes are those of the prediction."""
    chosen = [item for item in task.content["predictions"][0]["result"] if item["from_name"] == "scenes"]
    scenes = [scene for item in chosen for scene in item["value"]["choices"]]
    if action == "reject":
        reason = "other" if _regions(task) else "not a person"
        return predictions.make_result(interface, mask=None, origin="manual", verdict=reason, scenes=scenes)
    mask = _mask(task, interface)
    if action == "correct":
        corrected = mask_cleanup.correct_mask(mask)
        return predictions.make_result(interface, mask=corrected, origin="prediction-changed", scenes=scenes)
    return predictions.make_result(interface, mask=mask, origin="prediction", scenes=scenes)
