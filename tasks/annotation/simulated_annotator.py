"""The stand-in annotator of the demo.

It is no person: it works through the API under its own name, so that nobody takes its answers for a human's.

What it does is fixed by rule. The matte that is least sure of itself in each source is really corrected (see
`figureground.mattes.mask_cleanup`). A crop in which nobody was found is rejected, and so is one crop of the largest source,
the one with the fewest person pixels. All others are accepted as they were pushed.
"""

import logging
from collections.abc import Sequence
from typing import Any, Literal

from figureground.annotation import labelling
from figureground.annotation.labelling import Interface
from figureground.catalog import Catalog
from figureground.clients import label_studio
from figureground.clients.label_studio import Remote
from figureground.errors import LabelError
from figureground.mattes import mask_cleanup
from figureground.types import Mask

NAME = "stand-in"
EMAIL = "stand-in@figureground.local"
SECONDS = {"accept": 2.0, "correct": 20.0, "reject": 3.0}
Deed = Literal["accept", "correct", "reject"]

_log = logging.getLogger(__name__)


def stand_in(catalog: Catalog) -> dict[str, int]:
    """Answer every task of the catalog's project that nobody has answered.

    Parameters
    ----------
    catalog
        Gives the server and the project.

    Returns
    -------
    dict
        How many were accepted, corrected, rejected, and left alone because they were answered already.

    Raises
    ------
    LabelError
        When the server cannot be used or has no such project.
    TransientError
        When the connection broke; running again answers the rest.
    """
    interface, _ = label_studio.interface(catalog)
    counts = {"accepted": 0, "corrected": 0, "rejected": 0, "left": 0}
    with label_studio.connect(catalog) as server:
        project = label_studio.find_project(server, catalog)
        if project is None:
            raise LabelError(f"the Label Studio at {server.url} has no project {catalog.label_studio.project!r}; push first")
        who = label_studio.make_annotator(server, NAME, EMAIL)
        tasks = [task for task in label_studio.everything(server, project) if task.content.get("predictions")]
        deeds = _deeds(tasks, interface)
        for task in tasks:
            if task.content.get("annotations"):
                counts["left"] += 1
                continue
            deed = deeds[task.task_id]
            result = _result(deed, task, interface)
            prediction = task.content["predictions"][0]["id"]
            label_studio.annotate(server, task, result, by=who, seconds=SECONDS[deed], prediction=prediction)
            counts[f"{deed}ed"] += 1
    _log.info("the stand-in annotator answered: %s", counts)
    return counts


def _deeds(tasks: Sequence[Remote], interface: Interface) -> dict[int, Deed]:
    """Decide over all tasks, answered or not, so that a second run decides the same."""
    deeds: dict[int, Deed] = {task.task_id: "accept" if _painted(task) else "reject" for task in tasks}
    sources: dict[str, list[Remote]] = {}
    for task in tasks:
        if _painted(task):
            sources.setdefault(task.content["data"]["source"], []).append(task)
    for some in sources.values():
        deeds[min(some, key=_least_sure).task_id] = "correct"
    largest = max(sources.values(), key=len, default=[])
    rest = [task for task in largest if deeds[task.task_id] == "accept"]
    if rest:
        deeds[min(rest, key=lambda task: _fewest_pixels(task, interface)).task_id] = "reject"
    return deeds


def _least_sure(task: Remote) -> tuple[float, str]:
    score = task.content["predictions"][0].get("score") or 0.0
    return float(score), str(task.content["data"]["crop_id"])


def _fewest_pixels(task: Remote, interface: Interface) -> tuple[int, str]:
    return int((_mask(task, interface) > 0).sum()), str(task.content["data"]["crop_id"])


def _painted(task: Remote) -> list[dict[str, Any]]:
    return [item for item in task.content["predictions"][0]["result"] if item["type"] in (labelling.BRUSH, labelling.BITMASK)]


def _mask(task: Remote, interface: Interface) -> Mask:
    (region,) = _painted(task)
    size = region["original_width"], region["original_height"]
    ((_, mask),) = labelling.painted({"result": [region]}, interface, *size, str(task.content["data"]["crop_id"]))
    return mask


def _result(deed: Deed, task: Remote, interface: Interface) -> list[dict[str, Any]]:
    """Make what a person's submit would hold; the scenes are those that were chosen beforehand."""
    chosen = [item for item in task.content["predictions"][0]["result"] if item["from_name"] == "scenes"]
    scenes = [scene for item in chosen for scene in item["value"]["choices"]]
    if deed == "reject":
        reason = "other" if _painted(task) else "not a person"
        return labelling.answered(interface, mask=None, origin="manual", verdict=reason, scenes=scenes)
    mask = _mask(task, interface)
    if deed == "correct":
        return labelling.answered(interface, mask=mask_cleanup.corrected(mask), origin="prediction-changed", scenes=scenes)
    return labelling.answered(interface, mask=mask, origin="prediction", scenes=scenes)
