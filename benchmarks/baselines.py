"""What our recipe teaches beside the plain published one, same data and budget: python benchmarks/baselines.py FOLDER.

    python benchmarks/baselines.py FOLDER [--data ../shared/data] [--side 128] [--pictures 1600] [--only unet] [--classes 2]
                                          [--seeds 1 2]
    python benchmarks/baselines.py FOLDER --speed        pictures a second, ours and the plain one in turn, medians of rounds
    python benchmarks/baselines.py FOLDER --table        only print what FOLDER holds
    python benchmarks/baselines.py FOLDER --sheet FILE   a picture of what both recipes answer on some of the test split

Two releases are laid into FOLDER: DAVIS (every sixth frame), Penn-Fudan and CCP for person and background; CCP for five
classes. Sources (a sequence, a photo) are split by `figureground.datasets.splits`. The plain recipe is the published
repositories' loop:
pictures squashed to the square, no variations, Adam at a fixed rate, cross entropy alone, the last weights. Both see as many
pictures in the same order, begin with the same weights, and are scored on the test split at the pictures' own size. Run again,
it carries on.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import scipy.io

from figureground import catalog, plugins
from figureground.datasets import splits
from figureground.evaluation import predictors
from figureground.evaluation.predictors import Checkpoint
from figureground.evaluation.scores import compare_groups
from figureground.imaging import class_maps, crops, drawing
from figureground.reports.scoreboard import format_interval
from figureground.storage.atomic import write_file
from figureground.training import sample_cache
from figureground.training.letterbox import LetterboxedSamples
from figureground.training.loop import Machine, train_network
from figureground.training.settings import TrainingSettings
from figureground.types import Image, Mask, Sample, Source
from tasks.models.evaluate import evaluate
from tasks.models.train import train

NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"encoder": "resnet18"},
    "segnet": {"width": 24},
    "segresnet": {"width": 8},
    "deeplabv3": {"encoder": "mobilenet_v3_large"},
}
"""At sizes that a CPU teaches in minutes."""
RECIPES = ("plain", "ours")
PLAIN_RATE = 1e-3
"""Adam's own, which the published loops leave as it is."""
ROOT = Path(__file__).parents[1]
EVERY, VAL, TEST = 6, 0.15, 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--pictures", type=int, default=1600)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS))
    parser.add_argument("--classes", nargs="*", type=int, default=[2, 5])
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.table:
        table(options.folder)
        return
    if options.sheet:
        write_file(options.sheet, drawing.png(sheet(options)))
        return
    if not options.data.is_dir():
        sys.exit(f"no {options.data}: this benchmark needs the annotated pictures, see its first lines")
    releases = {classes: laid(options.folder, options.data, classes) for classes in options.classes}
    for classes, release in releases.items():
        for network in options.only:
            if options.speed:
                speed(options.folder, release, how(network, classes, options, "ours", 1))
                continue
            for seed in options.seeds:
                scored(options.folder, release, network, classes, options, seed)


def how(network: str, classes: int, options: argparse.Namespace, recipe: str, seed: int) -> TrainingSettings:
    return TrainingSettings(
        network=network,
        settings=NETWORKS[network],
        classes=classes,  # type: ignore[arg-type]
        side=options.side,
        pictures=options.pictures,
        **({"plain": True, "learning_rate": PLAIN_RATE} if recipe == "plain" else {}),
        validations=8,
        seed=seed,
    )


def name_of(network: str, classes: int, recipe: str, options: argparse.Namespace, seed: int) -> str:
    return f"{network}-{classes}-{recipe}-{options.side}-{options.pictures}-{seed}"


# --- the data ---


def laid(folder: Path, data: Path, classes: int) -> Path:
    """Write the pictures as a release's layout, once."""
    layout_folder = folder / f"data-{classes}"
    if not layout_folder.is_dir():
        layout = plugins.build("layouts", *(("mmseg_custom", {}) if classes == 2 else ("human_parsing", {"classes": 5})))
        photos = [*ccp(data)] if classes == 5 else [*davis(data), *pennfudan(data), *ccp(data)]
        sources = [Source(name, "images", "", "", "research", (), "auto") for name in {name for name, *_ in photos}]
        assigned = splits.assign(sources, VAL, TEST)
        with tempfile.TemporaryDirectory(dir=folder) as bench:
            layout.write((sample(photo, assigned) for photo in photos), Path(bench) / "laid")
            (Path(bench) / "laid").rename(layout_folder)
    return layout_folder


Found = tuple[str, str, str, Image, Mask, Mask | None]
"""Source, stem, scene, picture, person, parts."""


def sample(photo: Found, assigned: dict[str, Any]) -> Sample:
    source, stem, scene, image, person, parts = photo
    alpha = (person > 0).astype(np.float32)
    return Sample(stem, assigned[source], (scene,), crops.encode(image), alpha, parts, 18)


def davis(data: Path) -> Iterator[Found]:
    for sequence in sorted((data / "davis").iterdir()):
        for file in sorted((sequence / "images").iterdir())[::EVERY]:
            mask = read(next((sequence / "masks").glob(f"{file.stem}.*")), cv2.IMREAD_GRAYSCALE)
            yield sequence.name, f"{sequence.name}-{file.stem}", "davis", read(file), (mask > 127).astype(np.uint8), None


def pennfudan(data: Path) -> Iterator[Found]:
    for file in sorted((data / "pennfudan/PNGImages").glob("*.png")):
        mask = read(data / f"pennfudan/PedMasks/{file.stem}_mask.png", cv2.IMREAD_UNCHANGED)
        yield file.stem.lower(), file.stem.lower(), "pennfudan", read(file), (mask > 0).astype(np.uint8), None


def ccp(data: Path) -> Iterator[Found]:
    to_atr, _ = class_maps.reading("ccp", {})
    for file in sorted((data / "ccp/photos").glob("*.jpg")):
        ids = np.asarray(scipy.io.loadmat(data / f"ccp/annotations/pixel-level/{file.stem}.mat")["groundtruth"], np.uint8)
        yield f"ccp{file.stem}", f"ccp{file.stem}", "ccp", read(file), (ids > 0).astype(np.uint8), class_maps.remap(ids, to_atr)


def read(file: Path, how_read: int = cv2.IMREAD_COLOR) -> Any:
    image = cv2.imread(str(file), how_read)
    return np.ascontiguousarray(image[:, :, ::-1]) if image.ndim == 3 else image


# --- quality ---


def scored(folder: Path, release: Path, network: str, classes: int, options: argparse.Namespace, seed: int) -> None:
    settings = catalog.load(ROOT / "data_catalog.yaml")
    for recipe in RECIPES:
        name = name_of(network, classes, recipe, options, seed)
        if (folder / f"result-{name}.json").is_file():
            continue
        checkpoint = folder / "models" / name
        begun = time.monotonic()
        train.fn(release, how(network, classes, options, recipe, seed), checkpoint, "cpu", squashed=recipe == "plain")
        seconds = time.monotonic() - begun
        evaluation = evaluate.fn(str(checkpoint), release, settings, folder / "scores" / name, ("test",), None, "cpu")
        rows = [[*vars_of(row)] for row in evaluation.rows]
        content = {"network": network, "classes": classes, "recipe": recipe, "side": options.side, "pictures": options.pictures}
        content |= {"seed": seed, "seconds": seconds, "names": evaluation.names, "rows": rows}
        (folder / f"result-{name}.json").write_text(json.dumps(content))
        print(
            name,
            f"{seconds:.0f} s",
            format_interval(evaluation.groups[0].figures["iou_per_image"], "iou_per_image"),
            flush=True,
        )


def vars_of(row: Any) -> Iterator[Any]:
    for name in ("stem", "source", "split", "scenes", "shared", "together", "boundary", "errors"):
        yield getattr(row, name)


def table(folder: Path) -> None:
    from figureground.evaluation.scores import Row

    results: dict[tuple[Any, ...], dict[str, dict[int, Any]]] = {}
    for result_file in sorted(folder.glob("result-*.json")):
        result = json.loads(result_file.read_text())
        recipes = results.setdefault(
            (result["classes"], result["network"], result["side"], result["pictures"]), {recipe: {} for recipe in RECIPES}
        )
        recipes[result["recipe"]][result["seed"]] = result
    keys = ("iou_per_image", "iou_of_dataset", "boundary_iou_per_image")
    for (classes, network, side, seen), both in sorted(results.items()):
        seeds = sorted(both["plain"].keys() & both["ours"].keys())
        rows = [
            [
                Row(a, b, c, tuple(d), tuple(e), tuple(f), tuple(g), tuple(h))
                for seed in seeds
                for a, b, c, d, e, f, g, h in both[recipe][seed]["rows"]
            ]
            for recipe in RECIPES
        ]
        if not seeds:
            continue
        count = len(rows[0]) // len(seeds)
        print(f"\n{classes} classes, {network}, {side} px, {seen} pictures seen, {count} test pictures, seeds {seeds}")
        for seed in seeds:
            both_results = [both[recipe][seed] for recipe in RECIPES]
            print(
                f"seed {seed}",
                *(
                    f"{np.nanmean([*map(iou, result_of_recipe['rows'])]):.3f} in {result_of_recipe['seconds']:.0f} s"
                    for result_of_recipe in both_results
                ),
            )
        for group in compare_groups(rows[0], rows[1], both["ours"][seeds[0]]["names"]):
            for key in [*keys, *(name for name in group.old if ":" in name and name.startswith("iou_per_image"))]:
                ends = [format_interval(side_[key], key) for side_ in (group.old, group.new, group.gained)]
                print(f"| {group.name} ({group.pictures}, {group.sources} sources) | {key} | {' | '.join(ends)} |")


def iou(row: list[Any]) -> float:
    """Give one picture's mean over its classes but the background."""
    ious = [shared / together for shared, together in zip(row[4][1:], row[5][1:], strict=True) if together]
    return float(np.mean(ious)) if ious else float("nan")


# --- a picture ---


def sheet(options: argparse.Namespace) -> Image:
    """Show two test pictures of each scene beside the truth and what each network answers, on a checkerboard."""
    release = sample_cache.open_release(options.folder / "data-2", 2)
    by_scene: dict[tuple[str, ...], list[sample_cache.TrainingSample]] = {}
    for sample_ in release.examples("test"):
        by_scene.setdefault(sample_.scenes, []).append(sample_)
    shown = [
        sample_
        for _, samples in sorted(by_scene.items())
        for sample_ in samples[len(samples) // 5 :: -(-len(samples) // 2)][:2]
    ]
    columns = {
        "picture": [sample_.image for sample_ in shown],
        "truth": [on_ground(sample_, sample_.truth) for sample_ in shown],
    }
    for network in options.only:
        for recipe in RECIPES:
            predictor = Checkpoint(options.folder / "models" / name_of(network, 2, recipe, options, options.seeds[0]), "cpu")
            columns[f"{network}, {recipe}"] = [on_ground(*pair) for pair in predictors.predict_all(predictor, shown, 2)]
    wide, high, gap, head = 150, 112, 6, 24
    paper = np.full((head + len(shown) * (high + gap), len(columns) * (wide + gap) - gap, 3), 255, np.uint8)
    for column, (name, images) in enumerate(columns.items()):
        paper = drawing.written(paper, name, column * (wide + gap) + 4, 4, 14)
        for row, image in enumerate(images):
            y, x = head + row * (high + gap), column * (wide + gap)
            paper[y : y + high, x : x + wide] = drawing.centred(image, wide, high)
    return paper


def on_ground(sample_: sample_cache.TrainingSample, mask: Any) -> Image:
    return drawing.on_checkerboard(sample_.image, np.asarray(mask > 0, np.float32), max(8, sample_.image.shape[1] // 20))


# --- speed ---


def speed(folder: Path, release: Path, ours: TrainingSettings, rounds: int = 3, count: int = 48) -> None:
    """Print how many pictures a second each recipe learns from, and how many the network answers for."""
    import dataclasses

    machine, rates = Machine.select("cpu"), dict[str, list[float]]()
    with tempfile.TemporaryDirectory(dir=folder) as bench:
        samples = [
            sample_
            for sample_, _ in zip(
                sample_cache.open_release(release, ours.classes).examples("train"), range(count), strict=False
            )
        ]
        for number in range(rounds):
            for recipe in RECIPES:
                cache = Path(bench) / f"{recipe}-{number}"
                train_samples = LetterboxedSamples.create(
                    cache / "taught", samples, len(samples), ours.side, squashed=recipe == "plain"
                )
                training = dataclasses.replace(ours, plain=recipe == "plain", pictures=count, validations=1)
                result = train_network(training, train_samples, train_samples, cache, machine)
                rates.setdefault(recipe, []).append(result.learnt_per_second)
                rates.setdefault("answers", []).append(result.looked_per_second)
    values = {key: median(values_) for key, values_ in rates.items()}
    print(
        f"| {ours.network} | {ours.classes} | {values['plain']:.1f} | {values['ours']:.1f} | "
        f"{values['ours'] / values['plain']:.2f} | {values['answers']:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
