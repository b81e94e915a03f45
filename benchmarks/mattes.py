"""How good the mattes are beside the plain loop's: prints the tables of benchmarks/mattes.md.

    python benchmarks/mattes.py [--data ../shared/data] [--catalog data_catalog.yaml] [--remover person] [--set ridden=false]

Video: each DAVIS sequence is written as a 24 fps video; both sides take the same frames of it (one every 0.167 s), crop
with a margin of 0.1 and matte. A frame's crop with the box nearest to the annotated one counts (IoU from 0.3 on, else the
person is missed), compared inside the crop. Soft edges: a dancer keyed from a blue screen, laid over real backgrounds,
so that the alpha is known to the level.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.stats
import yaml

from figureground import catalog, plugins
from figureground.clients.sources.fetching import fetch_asset
from figureground.imaging import crops, geometry, mask_metrics, masks
from figureground.media.decoding import VideoReader
from figureground.removers import ScoringRemover
from figureground.types import Alpha, Box, Frame, Image, Mask, PersonCrop

SEQUENCES = ("bmx-trees", "dance-jump", "hike", "rollerblade", "swing")
FPS, EVERY, SHORT_SIDE = 24, 4, 96


@dataclass(frozen=True)
class Row:
    """One annotated person in one frame; ``score`` is how sure the remover was, NaN when it did not say."""

    sequence: str
    iou: float
    boundary_f: float
    score: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / "../shared/data")
    parser.add_argument("--catalog", type=Path, default=Path(__file__).parents[1] / "data_catalog.yaml")
    parser.add_argument("--remover", help="instead of the catalog's")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of that remover")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no {options.data}: this benchmark needs the annotated pictures, see its first lines")
    settings = catalog.load(options.catalog)
    ours = _remover(settings, options.remover, options.set)
    for plugin in (settings.detector(), ours):
        for weights in plugins.weights(plugin):
            fetch_asset(settings.asset(weights.name))
    with tempfile.TemporaryDirectory() as folder:
        video_table(options.data / "davis", Path(folder), settings, ours)
    soft_table(options.data, settings, ours)


def _remover(settings: Any, name: str | None, pairs: Sequence[str]) -> Any:
    if not name:
        return settings.remover()
    settings_ = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}
    rvm = "rvm_mobilenetv3_fp32"
    kinds = {"person": {"matting": rvm, "instances": "yolo26n-seg"}, "rvm": {"weights": rvm}}
    known = {asset: settings.asset(asset).weights for asset in settings.assets}
    return plugins.build("removers", name, {**kinds.get(name, {"model": "u2netp"}), **settings_}, known)


# --- video


def video_table(davis: Path, scratch: Path, settings: Any, ours: Any) -> None:
    plain, mine, missed = [], [], [0, 0]
    for name in SEQUENCES:
        video = _written(davis / name, scratch / f"{name}.mp4")
        truths = [cv2.imread(str(file), 0) > 127 for file in sorted((davis / name / "masks").glob("*.png"))]
        for rows, mattes, number in (
            (plain, _plain(video, scratch / name, settings), 0),
            (mine, _ours(video, settings, ours), 1),
        ):
            scored = list(_scored(name, truths, mattes))
            rows += [row for row in scored if row]
            missed[number] += scored.count(None)
    print("| DAVIS, five sequences | mean IoU | worst tenth | boundary F | people found | missed |\n|---|---|---|---|---|---|")
    for words, rows, absent in (("plain loop", plain, missed[0]), (_named(ours), mine, missed[1])):
        cells = (f"{value:.3f}" for value in (_mean(rows, "iou"), _worst(rows), _mean(rows, "boundary_f")))
        print(f"| {words} |", " | ".join(cells), f"| {len(rows)} | {absent} |")
    goals(plain, mine)
    print("| mean IoU |", " | ".join(SEQUENCES), "|\n" + "|---" * 6 + "|")
    for words, rows in (("plain loop", plain), (_named(ours), mine)):
        means = (_mean([row for row in rows if row.sequence == name], "iou") for name in SEQUENCES)
        print(f"| {words} |", " | ".join(f"{mean:.3f}" for mean in means), "|")


def goals(plain: Sequence[Row], mine: Sequence[Row]) -> None:
    cut = 1 - (1 - _mean(mine, "iou")) / (1 - _mean(plain, "iou"))
    gain, rank = _mean(mine, "boundary_f") - _mean(plain, "boundary_f"), -_rank(mine)
    rows = (
        ("error 1 - IoU", f"{cut:.0%} lower", ">= 35 %", cut >= 0.35),
        ("mean of the worst tenth", f"{_worst(mine):.3f}", ">= .45", _worst(mine) >= 0.45),
        ("boundary F (3 px)", f"{gain:+.3f}", ">= +.06", gain >= 0.06),
        ("annotated people found", f"{len(mine)} beside {len(plain)}", "at least as many", len(mine) >= len(plain)),
        ("score against true error, Spearman", f"{rank:.2f}", "<= -.6", rank <= -0.6),
    )
    print("\n| against the plain loop | measured | goal | met |\n|---|---|---|---|")
    for words, value, goal, met in rows:
        print(f"| {words} | {value} | {goal} | {'yes' if met else 'NO'} |")
    print()


def _named(remover: Any) -> str:
    return str(plugins.describe(remover)["name"])


def _mean(rows: Sequence[Row], key: str) -> float:
    return float(np.mean([getattr(row, key) for row in rows])) if rows else float("nan")


def _worst(rows: Sequence[Row]) -> float:
    return float(np.mean(sorted(row.iou for row in rows)[: max(1, len(rows) // 10)]))


def _rank(rows: Sequence[Row]) -> float:
    return float(scipy.stats.spearmanr([row.score for row in rows], [row.iou for row in rows])[0])


def _written(sequence: Path, video: Path) -> Path:
    pictures = [cv2.imread(str(file)) for file in sorted((sequence / "images").glob("*.jpg"))]
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return video


Made = tuple[int, Box, Alpha, float]
"""Frame index, the crop in its frame, the matte, how sure it is."""


def _plain(video: Path, folder: Path, settings: Any) -> Iterator[Made]:
    detector, model = (fetch_asset(settings.asset(name)) for name in ("yolo11n-pose.pt", "u2netp.onnx"))
    command = [sys.executable, str(Path(__file__).with_name("plain.py")), str(video), str(folder)]
    command += ["--every", "0.167", "--detector", str(detector), "--models", str(model.parent)]
    subprocess.run(command, check=True, capture_output=True)
    for file, index, *box in json.loads((folder / "boxes.json").read_text()):
        yield index, Box(*box), masks.from_png((folder / file).read_bytes()), float("nan")


def _ours(video: Path, settings: Any, remover: Any) -> Iterator[Made]:
    for crop, index in _crops(video, settings):
        if geometry.short_side(crop.box) >= SHORT_SIDE:
            alpha, score = _matted(remover, crop)
            yield index, crop.box, alpha, score


def _matted(remover: Any, crop: PersonCrop) -> tuple[Alpha, float]:
    if isinstance(remover, ScoringRemover):
        return remover.estimate_with_confidence([crop])[0]
    return remover.estimate_alphas([crop])[0], float("nan")


def _crops(video: Path, settings: Any) -> Iterator[tuple[PersonCrop, int]]:
    detector, margin = settings.detector(), settings.recipe.crop.margin
    for taken in VideoReader(video).frames():
        if taken.index % EVERY == 0:
            frame = Frame(f"a-{taken.index:06d}", "a", taken.index, 0.0, taken.image())
            for crop in crops.cut(frame, detector.find([frame.image])[0], margin):
                yield crop, taken.index


def _scored(sequence: str, truths: Sequence[Any], mattes: Iterator[Made]) -> Iterator[Row | None]:
    """Give a row for each frame with somebody annotated, None where that person was missed."""
    by_frame: dict[int, list[Made]] = {}
    for matte in mattes:
        by_frame.setdefault(matte[0], []).append(matte)
    for index in range(0, len(truths), EVERY):
        truth = truths[index]
        if not truth.any():
            continue
        box = _around(truth)
        best = max(by_frame.get(index, []), key=lambda candidate: geometry.iou(candidate[1], box), default=None)
        yield _row(sequence, best, truth) if best and geometry.iou(best[1], box) >= 0.3 else None


def _around(truth: Any) -> Box:
    rows, columns = np.where(truth.any(axis=1))[0], np.where(truth.any(axis=0))[0]
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _row(sequence: str, matte: Made, truth: Any) -> Row:
    _, box, alpha, score = matte
    part: Mask = truth[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)].astype(np.uint8)
    mask = masks.to_mask(alpha)
    return Row(sequence, mask_metrics.iou(mask, part), mask_metrics.boundary_f(mask, part), score)


# --- soft edges


def soft_table(data: Path, settings: Any, ours: Any) -> None:
    plain = _remover(settings, "rembg", ())
    measures = {"SAD": mask_metrics.sad, "MSE": mask_metrics.mse, "Grad": mask_metrics.grad, "Conn": mask_metrics.conn}
    scores: dict[str, list[list[float]]] = {"rembg u2netp": [], _named(ours): []}
    for crop, truth in _composites(data, settings):
        for words, remover in zip(scores, (plain, ours), strict=True):
            alpha = remover.estimate_alphas([crop])[0]
            scores[words].append([measure(alpha, truth) for measure in measures.values()])
    print(f"\n| keyed dancer, {len(scores['rembg u2netp'])} frames |", " | ".join(measures), "|\n|---|---|---|---|---|")
    means = {words: np.mean(rows, axis=0) for words, rows in scores.items()}
    for words, mean in means.items():
        print(f"| {words} |", " | ".join(f"{value:.4f}" for value in mean), "|")
    lower = 1 - means[_named(ours)] / means["rembg u2netp"]
    print("| lower by |", " | ".join(f"{value:.0%}" for value in lower), "|")


def _composites(data: Path, settings: Any) -> Iterator[tuple[PersonCrop, Alpha]]:
    backgrounds = list(_backgrounds(data / "davis"))
    for taken in VideoReader(data / "videos/dancer_bluescreen.avi").frames():
        if taken.index % 50 == 20:
            picture = taken.image()
            alpha = _keyed(picture)
            background = backgrounds[taken.index // 50 % len(backgrounds)]
            whole = masks.composite(_despilt(picture), alpha, cv2.resize(background, picture.shape[1::-1]))
            frame = Frame(f"b-{taken.index:06d}", "b", taken.index, 0.0, whole)
            for crop in crops.cut(frame, settings.detector().find([whole])[0], settings.recipe.crop.margin)[:1]:
                part = slice(int(crop.box.y0), int(crop.box.y1)), slice(int(crop.box.x0), int(crop.box.x1))
                yield crop, np.ascontiguousarray(alpha[part])


def _keyed(picture: Image) -> Alpha:
    red, green, blue = (picture[:, :, n].astype(np.float32) for n in range(3))
    bluer = blue - np.maximum(red, green)
    screen = float(np.median(bluer[:40]))
    return np.clip(1 - (bluer - 0.12 * screen) / (0.65 * screen), 0, 1).astype(np.float32)


def _despilt(picture: Image) -> Image:
    clean = picture.copy()
    clean[:, :, 2] = np.minimum(picture[:, :, 2], picture[:, :, :2].max(axis=2))
    return clean


def _backgrounds(davis: Path) -> Iterator[Image]:
    """Give parts of 300×300 pixels of real pictures in which nobody is annotated."""
    for name in SEQUENCES:
        for file in sorted((davis / name / "images").glob("*.jpg"))[:40:20]:
            picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
            taken = cv2.imread(str(davis / name / "masks" / f"{file.stem}.png"), 0) > 0
            free = [x for x in range(0, picture.shape[1] - 300, 20) if not taken[180:480, x : x + 300].any()]
            if free:
                yield picture[180:480, free[0] : free[0] + 300]


if __name__ == "__main__":
    main()
