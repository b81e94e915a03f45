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
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("folder", type=Path)
    asked.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    asked.add_argument("--side", type=int, default=128)
    asked.add_argument("--pictures", type=int, default=1600)
    asked.add_argument("--only", nargs="*", default=list(NETWORKS))
    asked.add_argument("--classes", nargs="*", type=int, default=[2, 5])
    asked.add_argument("--seeds", nargs="*", type=int, default=[1, 2])
    asked.add_argument("--speed", action="store_true")
    asked.add_argument("--table", action="store_true")
    asked.add_argument("--sheet", type=Path)
    given = asked.parse_args()
    if given.table:
        table(given.folder)
        return
    if given.sheet:
        write_file(given.sheet, drawing.png(sheet(given)))
        return
    if not given.data.is_dir():
        sys.exit(f"no {given.data}: this benchmark needs the annotated pictures, see its first lines")
    releases = {classes: laid(given.folder, given.data, classes) for classes in given.classes}
    for classes, release in releases.items():
        for network in given.only:
            if given.speed:
                speed(given.folder, release, how(network, classes, given, "ours", 1))
                continue
            for seed in given.seeds:
                scored(given.folder, release, network, classes, given, seed)


def how(network: str, classes: int, given: argparse.Namespace, recipe: str, seed: int) -> TrainingSettings:
    return TrainingSettings(
        network=network,
        settings=NETWORKS[network],
        classes=classes,  # type: ignore[arg-type]
        side=given.side,
        pictures=given.pictures,
        **({"plain": True, "learning_rate": PLAIN_RATE} if recipe == "plain" else {}),
        validations=8,
        seed=seed,
    )


def name_of(network: str, classes: int, recipe: str, given: argparse.Namespace, seed: int) -> str:
    return f"{network}-{classes}-{recipe}-{given.side}-{given.pictures}-{seed}"


# --- the data ---


def laid(folder: Path, data: Path, classes: int) -> Path:
    """Write the pictures as a release's layout, once."""
    place = folder / f"data-{classes}"
    if not place.is_dir():
        layout = plugins.build("layouts", *(("mmseg_custom", {}) if classes == 2 else ("human_parsing", {"classes": 5})))
        found = [*ccp(data)] if classes == 5 else [*davis(data), *pennfudan(data), *ccp(data)]
        sources = [Source(name, "images", "", "", "research", (), "auto") for name in {name for name, *_ in found}]
        assigned = splits.assign(sources, VAL, TEST)
        with tempfile.TemporaryDirectory(dir=folder) as bench:
            layout.write((sample(one, assigned) for one in found), Path(bench) / "laid")
            (Path(bench) / "laid").rename(place)
    return place


Found = tuple[str, str, str, Image, Mask, Mask | None]
"""Source, stem, scene, picture, person, parts."""


def sample(one: Found, assigned: dict[str, Any]) -> Sample:
    source, stem, scene, image, person, parts = one
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
    found = cv2.imread(str(file), how_read)
    return np.ascontiguousarray(found[:, :, ::-1]) if found.ndim == 3 else found


# --- quality ---


def scored(folder: Path, release: Path, network: str, classes: int, given: argparse.Namespace, seed: int) -> None:
    settings = catalog.load(ROOT / "data_catalog.yaml")
    for recipe in RECIPES:
        name = name_of(network, classes, recipe, given, seed)
        if (folder / f"result-{name}.json").is_file():
            continue
        checkpoint = folder / "models" / name
        begun = time.monotonic()
        train.fn(release, how(network, classes, given, recipe, seed), checkpoint, "cpu", squashed=recipe == "plain")
        seconds = time.monotonic() - begun
        found = evaluate.fn(str(checkpoint), release, settings, folder / "scores" / name, ("test",), None, "cpu")
        rows = [[*vars_of(row)] for row in found.rows]
        content = {"network": network, "classes": classes, "recipe": recipe, "side": given.side, "pictures": given.pictures}
        content |= {"seed": seed, "seconds": seconds, "names": found.names, "rows": rows}
        (folder / f"result-{name}.json").write_text(json.dumps(content))
        print(name, f"{seconds:.0f} s", format_interval(found.groups[0].figures["iou_per_image"], "iou_per_image"), flush=True)


def vars_of(row: Any) -> Iterator[Any]:
    for name in ("stem", "source", "split", "scenes", "shared", "together", "boundary", "errors"):
        yield getattr(row, name)


def table(folder: Path) -> None:
    from figureground.evaluation.scores import Row

    held: dict[tuple[Any, ...], dict[str, dict[int, Any]]] = {}
    for file in sorted(folder.glob("result-*.json")):
        one = json.loads(file.read_text())
        of = held.setdefault((one["classes"], one["network"], one["side"], one["pictures"]), {recipe: {} for recipe in RECIPES})
        of[one["recipe"]][one["seed"]] = one
    keys = ("iou_per_image", "iou_of_dataset", "boundary_iou_per_image")
    for (classes, network, side, seen), both in sorted(held.items()):
        seeds = sorted(both["plain"].keys() & both["ours"].keys())
        rows = [
            [
                Row(a, b, c, tuple(d), tuple(e), tuple(f), tuple(g), tuple(h))
                for seed in seeds
                for a, b, c, d, e, f, g, h in both[one][seed]["rows"]
            ]
            for one in RECIPES
        ]
        if not seeds:
            continue
        count = len(rows[0]) // len(seeds)
        print(f"\n{classes} classes, {network}, {side} px, {seen} pictures seen, {count} test pictures, seeds {seeds}")
        for seed in seeds:
            told_of = [both[recipe][seed] for recipe in RECIPES]
            print(f"seed {seed}", *(f"{np.nanmean([*map(iou, one['rows'])]):.3f} in {one['seconds']:.0f} s" for one in told_of))
        for one in compare_groups(rows[0], rows[1], both["ours"][seeds[0]]["names"]):
            for key in [*keys, *(name for name in one.old if ":" in name and name.startswith("iou_per_image"))]:
                ends = [format_interval(side_[key], key) for side_ in (one.old, one.new, one.gained)]
                print(f"| {one.name} ({one.pictures}, {one.sources} sources) | {key} | {' | '.join(ends)} |")


def iou(row: list[Any]) -> float:
    """Give one picture's mean over its classes but the background."""
    found = [shared / together for shared, together in zip(row[4][1:], row[5][1:], strict=True) if together]
    return float(np.mean(found)) if found else float("nan")


# --- a picture ---


def sheet(given: argparse.Namespace) -> Image:
    """Show two test pictures of each scene beside the truth and what each network answers, on a checkerboard."""
    release = sample_cache.open_release(given.folder / "data-2", 2)
    by_scene: dict[tuple[str, ...], list[sample_cache.TrainingSample]] = {}
    for one in release.examples("test"):
        by_scene.setdefault(one.scenes, []).append(one)
    shown = [one for _, some in sorted(by_scene.items()) for one in some[len(some) // 5 :: -(-len(some) // 2)][:2]]
    columns = {"picture": [one.image for one in shown], "truth": [on_ground(one, one.truth) for one in shown]}
    for network in given.only:
        for recipe in RECIPES:
            who = Checkpoint(given.folder / "models" / name_of(network, 2, recipe, given, given.seeds[0]), "cpu")
            columns[f"{network}, {recipe}"] = [on_ground(*pair) for pair in predictors.predict_all(who, shown, 2)]
    wide, high, gap, head = 150, 112, 6, 24
    paper = np.full((head + len(shown) * (high + gap), len(columns) * (wide + gap) - gap, 3), 255, np.uint8)
    for column, (name, images) in enumerate(columns.items()):
        paper = drawing.written(paper, name, column * (wide + gap) + 4, 4, 14)
        for row, image in enumerate(images):
            y, x = head + row * (high + gap), column * (wide + gap)
            paper[y : y + high, x : x + wide] = drawing.centred(image, wide, high)
    return paper


def on_ground(one: sample_cache.TrainingSample, mask: Any) -> Image:
    return drawing.on_checkerboard(one.image, np.asarray(mask > 0, np.float32), max(8, one.image.shape[1] // 20))


# --- speed ---


def speed(folder: Path, release: Path, ours: TrainingSettings, rounds: int = 3, count: int = 48) -> None:
    """Print how many pictures a second each recipe learns from, and how many the network answers for."""
    import dataclasses

    machine, found = Machine.select("cpu"), dict[str, list[float]]()
    with tempfile.TemporaryDirectory(dir=folder) as bench:
        some = [
            one
            for one, _ in zip(sample_cache.open_release(release, ours.classes).examples("train"), range(count), strict=False)
        ]
        for number in range(rounds):
            for recipe in RECIPES:
                place = Path(bench) / f"{recipe}-{number}"
                taught = LetterboxedSamples.create(place / "taught", some, len(some), ours.side, squashed=recipe == "plain")
                one = dataclasses.replace(ours, plain=recipe == "plain", pictures=count, validations=1)
                done = train_network(one, taught, taught, place, machine)
                found.setdefault(recipe, []).append(done.learnt_per_second)
                found.setdefault("answers", []).append(done.looked_per_second)
    values = {key: median(some) for key, some in found.items()}
    print(
        f"| {ours.network} | {ours.classes} | {values['plain']:.1f} | {values['ours']:.1f} | "
        f"{values['ours'] / values['plain']:.2f} | {values['answers']:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
