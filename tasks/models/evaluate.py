"""Answers of a checkpoint, a remover or a folder of predictions → scores on a release, a table and a page of the worst."""

import csv
import heapq
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from figureground import plugins, progress
from figureground.catalog import Catalog
from figureground.datasets.splits import Split
from figureground.detectors import Detector
from figureground.errors import LabelError, PluginError
from figureground.escaping import escape_csv_cell
from figureground.evaluation import predictors, scores
from figureground.evaluation.predictors import Checkpoint, FoundPerson, Predictions, Predictor, Remover
from figureground.evaluation.scores import Group, Row
from figureground.imaging import class_maps, geometry
from figureground.mattes.remover import Remover as RemoverPlugin
from figureground.reports import scoreboard
from figureground.reports.scoreboard import DrawnSample
from figureground.storage import atomic
from figureground.training import checkpoints, sample_cache
from figureground.training.sample_cache import TrainingSample
from figureground.types import Alpha, Mask
from tasks import retried_task

WORST = 24
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found: a row a picture, the figures of all, each split and scene, and where it is written."""

    who: str
    release: str
    names: tuple[str, ...]
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    folder: Path

    @property
    def page(self) -> Path:
        """The page with the table and the worst pictures."""
        return self.folder / "index.html"


@retried_task
def evaluate(
    model: str,
    release: Path,
    catalog: Catalog,
    into: Path,
    splits: Sequence[Split] = (),
    classes: int | None = None,
    device: Device = "auto",
    without: frozenset[str] = frozenset(),
) -> Evaluation:
    """Score a model on a release.

    Parameters
    ----------
    model
        A checkpoint's folder, a folder of predictions, a remover's name, or ``{name: {settings}}`` as in the catalog.
    release
        See `figureground.training.sample_cache`.
    catalog
        Gives removers their settings and weights, which are in the cache already, and the detector that says which person to
        segment.
    into
        The folder for ``scores.csv``, ``summary.json`` and ``index.html``; what is there of these is replaced.
    splits
        Which are scored; none: all.
    classes
        1 scores soft alpha, 2 or 5 classes; None takes the checkpoint's, else 1.
    device
        ``auto`` takes a GPU where there is one.
    without
        Sources whose pictures are left out.

    Raises
    ------
    ReleaseError
        When the release cannot be read, has no such classes or no picture in these splits.
    PluginError, AssetError, LabelError, ArrayError
        When `model` is unknown or damaged, lacks a prediction, or cannot predict so many classes.
    """
    wanted = classes or _own_classes(model)
    opened = sample_cache.open_release(release, wanted)
    names = tuple(class_maps.NAMES[max(wanted, 2)])
    answerer = open_predictor(model, catalog, device)
    total = sum(count for (source, split), count in opened.places().items() if _counts(source, split, splits, without))
    if not total:
        raise LabelError(f"{release} has no picture in {', '.join(splits) or 'any split'}; nothing can be scored")
    chosen = (sample for sample in opened.examples(*splits) if _counts(sample.source, sample.split, splits, without))
    rows, worst = [], _Worst()
    predictions = predictors.predict_all(answerer, chosen, wanted)
    for example, answer in progress.track(predictions, "evaluate", opened.name, total):
        row = scores.score_sample(example.stem, example.source, example.split, example.scenes, answer, example.truth, names)
        rows.append(row)
        worst.see(row, example, answer)
    groups = scores.group_scores(rows, names)
    model_name = str(Path(model).resolve().name) if Path(model).is_dir() else model
    content = {
        "scores.csv": render_csv(rows, names),
        "summary.json": render_json(model_name, opened.name, opened.digest, wanted, groups),
        "index.html": scoreboard.render_page(model_name, opened.name, groups, worst.figures()).encode(),
    }
    for name, text in content.items():
        atomic.write_file(into / name, text)
    return Evaluation(model_name, opened.name, names, tuple(rows), tuple(groups), into)


def _counts(source: str, split: str, splits: Sequence[str], without: frozenset[str]) -> bool:
    return (not splits or split in splits) and source not in without


def open_predictor(model: str, catalog: Catalog, device: Device = "auto") -> Predictor:
    """Find out who is meant, see `evaluate`."""
    folder = Path(model)
    if (folder / checkpoints.CARD).is_file():
        return Checkpoint(folder, device)
    if folder.is_dir():
        return Predictions(folder)
    return Remover(build_remover(model, catalog), _Finder(catalog.detector()))


def build_remover(model: str, catalog: Catalog) -> RemoverPlugin:
    """Build a remover by its name or ``{name: {settings}}``; the catalog's own by its name has the catalog's settings.

    Raises
    ------
    PluginError
        When there is none of that name.
    """
    text = yaml.safe_load(model)
    name, settings = next(iter(text.items())) if isinstance(text, dict) and len(text) == 1 else (model, None)
    own = catalog.recipe.remover
    if name not in plugins.names("removers"):
        raise PluginError(
            f"{model!r} is neither a checkpoint nor a folder of predictions nor a remover; "
            f"removers are: {', '.join(plugins.names('removers'))}"
        )
    chosen = settings if settings is not None else own.get(name) or {}
    assets = {key: catalog.asset(key).weights for key in catalog.assets}
    remover: RemoverPlugin = plugins.build("removers", name, chosen, assets)
    return remover


def _own_classes(model: str) -> int:
    return checkpoints.read(Path(model)).classes if (Path(model) / checkpoints.CARD).is_file() else 1


class _Finder:
    """Whom a picture means: of the people found, the one whose box is nearest to the release's, else the largest."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def __call__(self, example: TrainingSample) -> FoundPerson | None:
        people = self._detector.find([example.image])[0]
        if not people:
            return None
        meant = example.person
        chosen = max(people, key=lambda sample: geometry.iou(sample.box, meant) if meant else sample.box.area)
        others = tuple(sample.box for sample in people if sample is not chosen)
        return FoundPerson(chosen.box, chosen.score, chosen.keypoints, others)


class _Worst:
    """The pictures with the lowest IoU, drawn small as they come by, so that no more than these are in memory."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, str, DrawnSample]] = []

    def see(self, row: Row, example: TrainingSample, answer: Mask | Alpha) -> None:
        key = (-row.iou, row.stem)
        if len(self._kept) < WORST or key > self._kept[0][:2]:
            drawn = scoreboard.draw_sample(row, example, answer)
            (heapq.heappush if len(self._kept) < WORST else heapq.heapreplace)(self._kept, (*key, drawn))

    def figures(self) -> list[DrawnSample]:
        return [drawn for _, _, drawn in sorted(self._kept, key=lambda sample: (-sample[0], sample[1]))]


def render_csv(rows: Sequence[Row], names: Sequence[str]) -> bytes:
    """Write one line per image, from which every figure is computed."""
    text = io.StringIO()
    pixels = [f"{kind}:{name}" for kind in ("shared", "together") for name in names]
    boundary = [f"boundary_iou:{name}" for name in names[1:]]
    errors = list(scores.ERRORS) if rows[0].errors else []
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["stem", "source", "split", "scenes", "iou", *pixels, *boundary, *errors])
    for sample in rows:
        facts = [*sample.shared, *sample.together, *sample.boundary, *sample.errors]
        texts = [sample.stem, sample.source, sample.split, " ".join(sample.scenes)]
        out.writerow([*map(escape_csv_cell, texts), sample.iou, *facts])
    return text.getvalue().encode()


def render_json(model: str, release: str, digest: str, classes: int, groups: Sequence[Group]) -> bytes:
    """Write the figures for programs; an interval that nothing gives is null."""
    text = {
        "who": model,
        "release": release,
        "digest": digest,
        "classes": classes,
        "groups": {
            group.name: {
                "pictures": group.pictures,
                "sources": group.sources,
                "figures": {name: [None if end != end else end for end in result] for name, result in group.figures.items()},
            }
            for group in groups
        },
    }
    return (json.dumps(text, indent=1, ensure_ascii=False) + "\n").encode()
