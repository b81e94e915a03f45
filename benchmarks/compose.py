"""Synthetic pairs beside the plain PIL and numpy loop that does the same: `python benchmarks/compose.py [PICTURES [ROUNDS]]`.

Both follow the same recipes (windows, boxes, turns, shadows, light, noise, JPEG quality) and write the same two files a
picture, in turn, and medians are compared. Then ours with one and with two processes, and how far the border is from the
ideal one. Everything is made of ../shared/data. With --page it writes benchmarks/compose.md; with --pairs N it also makes N
pairs with their page in the folder that --into names (default: one that is removed).
"""

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import compose_inputs
import cv2
import numpy as np
import yaml
from PIL import Image as Pillow
from PIL import ImageCms, ImageFilter

from figureground import catalog as catalogs
from figureground.catalog import Catalog
from figureground.catalog import defaults as catalog_defaults
from figureground.inference import cores
from figureground.storage.store import Store
from figureground.synthesis import alpha_blend, cutouts
from figureground.synthesis.alpha_blend import Blend, Layer
from figureground.synthesis.cutouts import Levels
from figureground.synthesis.making import ImageMaker, Work, make_images
from figureground.types import Image
from tasks.datasets import compose as ours
from tasks.datasets.filter_backgrounds import filter_backgrounds
from tasks.datasets.load_cutouts import load_cutouts

ROOT = Path(__file__).parents[1]
_PROFILES = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
_TO_LAB = ImageCms.buildTransform(*_PROFILES, "RGB", "LAB")
_FROM_LAB = ImageCms.buildTransform(*_PROFILES[::-1], "LAB", "RGB")
_WARM = 8  # pictures of each process that are made before its rate is taken


# --- the plain loop ---


Size = tuple[int, int]


def plain(recipe: dict[str, Any], background: Path, people: dict[str, Path], size: Size, into: Path, stem: str) -> None:
    """Make one picture as one would with PIL and numpy, whole pictures at a time."""
    random = np.random.default_rng(0)
    window = recipe["background"]
    plate = Pillow.open(background).convert("RGB").crop(tuple(map(int, window["window"])))
    plate = plate.resize(size, Pillow.Resampling.BICUBIC)
    if window["mirrored"]:
        plate = plate.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
    drawn = window["augmentations"]
    if "GaussianBlur" in drawn:
        plate = plate.filter(ImageFilter.GaussianBlur(drawn["GaussianBlur"].get("sigma", 0.8)))
    canvas = np.asarray(plate).astype(np.float32)
    if "RandomBrightnessContrast" in drawn:
        factors = drawn["RandomBrightnessContrast"]
        canvas = (canvas * factors.get("alpha", 1.0) + factors.get("beta", 0.0)).clip(0, 255)
    if "RandomGamma" in drawn:
        canvas = (canvas / 255) ** drawn["RandomGamma"].get("gamma", 1.0) * 255
    layers = [_plain_layer(person, Pillow.open(people[person["id"]]), size) for person in recipe["people"]]
    plate_levels = canvas.copy()
    for person, (_, alpha) in zip(recipe["people"], layers, strict=True):
        if person["framing"] == "full":
            canvas *= 1 - _plain_shade(alpha, recipe["light"])[:, :, None]
    truth = np.zeros(size[::-1], np.float32)
    for colours, alpha in layers:
        lit = _plain_lit(colours, alpha, plate_levels)
        canvas = lit * alpha[:, :, None] + canvas * (1 - alpha[:, :, None])
        truth = alpha + truth * (1 - alpha)
    if "GaussNoise" in recipe["augmentations"]:
        canvas = canvas + random.normal(0, 3.0, canvas.shape)
    Pillow.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(into / f"{stem}.jpg", quality=recipe["jpeg"])
    Pillow.fromarray((truth * 255).round().astype(np.uint8)).save(into / f"{stem}.png")


def _plain_layer(person: dict[str, Any], cutout: Pillow.Image, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    x0, y0, x1, y1 = map(round, person["box"])
    if person["mirrored"]:
        cutout = cutout.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
    cutout = cutout.resize((x1 - x0, y1 - y0), Pillow.Resampling.BICUBIC)
    if person["turned"]:
        cutout = cutout.rotate(person["turned"], Pillow.Resampling.BILINEAR, expand=True)
    sheet = Pillow.new("RGBA", size)
    sheet.paste(cutout, (x0, y0))
    array = np.asarray(sheet).astype(np.float32)
    return array[:, :, :3], array[:, :, 3] / 255


def _plain_shade(alpha: np.ndarray, light: dict[str, float]) -> np.ndarray:
    rows = np.flatnonzero((alpha >= 0.5).any(1))
    if not len(rows):
        return np.zeros_like(alpha)
    feet, tall = int(rows[-1]) + 1, int(rows[-1]) + 1 - int(rows[0])
    reach = 1 / np.tan(np.radians(light["elevation"]))
    across, away = reach * np.cos(np.radians(light["azimuth"])), reach * np.sin(np.radians(light["azimuth"])) * 0.3
    away = np.copysign(max(abs(away), 0.15), away)
    picture = Pillow.fromarray((alpha * 255).astype(np.uint8))
    matrix = (1, across / away, -across * feet / away, 0, 1 / away, feet * (1 - 1 / away))
    flat = picture.transform(picture.size, Pillow.Transform.AFFINE, matrix, Pillow.Resampling.BILINEAR)
    radii = [share * tall * light["softness"] + 2 for share in (0.012, 0.1)]
    near, far = (np.asarray(flat.filter(ImageFilter.GaussianBlur(radius))) for radius in radii)
    share = np.clip(np.abs(np.arange(alpha.shape[0]) - feet) / (abs(away) * tall), 0, 1)[:, None]
    cast = (near * (1 - share) + far * share * (1 - 0.5 * share)) / 255
    strip = alpha[max(0, feet - max(2, round(0.07 * tall))) : feet].max(axis=0)
    lying = np.zeros_like(alpha)
    lying[max(0, feet - 2) : feet + 2] = strip
    strip = Pillow.fromarray((lying * 255).astype(np.uint8))
    contact = np.asarray(strip.filter(ImageFilter.GaussianBlur(0.02 * tall))) / 255
    return 1 - (1 - light["cast"] * cast) * (1 - light["contact"] * contact / max(contact.max(), 1e-6))


def _plain_lit(colours: np.ndarray, alpha: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """Move the mean in L*a*b*, on the whole picture; the conversion is littleCMS's, which is fast."""
    own, surroundings = (
        np.asarray(ImageCms.applyTransform(Pillow.fromarray(image.clip(0, 255).astype(np.uint8)), _TO_LAB)).astype(np.float32)
        for image in (colours, plate)
    )
    solid = alpha > 0.98
    if not solid.any():
        return colours
    shift = (surroundings.reshape(-1, 3).mean(0) - own[solid].mean(0)) * 0.4
    lit = (own + shift).clip(0, 255).astype(np.uint8)
    return np.asarray(ImageCms.applyTransform(Pillow.fromarray(lit, "LAB"), _FROM_LAB)).astype(np.float32)


# --- measuring ---


def speed(plan: ours.Plan, settings: Catalog, folder: Path, pictures: int, rounds: int) -> tuple[float, float]:
    """Give the median pictures per second of ours and of the plain loop, one process each."""
    run = Work(plan.settings, plan.pools, Store(settings.storage_root), folder)
    maker, size = ImageMaker(run), tuple(plan.settings.size)
    storage = Path(settings.storage_root.url)
    people = {person.subject.person_id: storage / person.file for pool in plan.pools.values() for person in pool.people}
    backgrounds = {
        background.background_id: storage / background.file for pool in plan.pools.values() for background in pool.backgrounds
    }
    cv2.setNumThreads(1)
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    for turn in range(rounds + 1):
        jobs = plan.jobs[turn * pictures : (turn + 1) * pictures]
        begun, rows = time.perf_counter(), []
        for job in jobs:
            files, row = maker.make(job)
            rows.append(row)
            for name, content in files.items():
                (folder / Path(name).name).write_bytes(content)
        took = time.perf_counter() - begun
        begun = time.perf_counter()
        for row in rows:
            plain(json.loads(row["recipe"]), backgrounds[row["background_id"]], people, size, folder, row["picture_id"])
        for name, seconds in (("ours", took), ("plain", time.perf_counter() - begun)):
            if turn:  # the first round opens files and libraries
                rates[name].append(len(jobs) / seconds)
    return median(rates["ours"]), median(rates["plain"])


def scaling(plan: ours.Plan, settings: Catalog, folder: Path, rounds: int) -> dict[int, float]:
    """Give the median pictures per second of one and of two processes, from the first picture to the last."""
    if len(plan.jobs) <= _WARM * 2:
        sys.exit(f"{len(plan.jobs)} pictures are too few to tell two processes' rate; give more than {_WARM * 2}")
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for processes, measured in rates.items():
            bench = folder / f"{turn}-{processes}"
            bench.mkdir(parents=True)
            run = Work(plan.settings, plan.pools, Store(settings.storage_root), bench)
            jobs = [job for job in plan.jobs if not job.real]
            moments = [time.perf_counter() for _ in make_images(run, jobs, processes)]
            skipped = _WARM * processes  # until every process is at work
            measured.append((len(moments) - skipped) / (moments[-1] - moments[skipped - 1]))
            shutil.rmtree(bench)
    return {processes: median(measured) for processes, measured in rates.items()}


def halo(backgrounds: Path, blend: Blend, people: int = 12) -> tuple[float, float]:
    """Give ours and the plain alpha blend's mean colour error in the alpha band, levels of 255.

    The ideal is known because the photos are made: a person's colours, known beyond the border, before an old background by a
    soft alpha. Ours sees the photo and the alpha.
    """
    scenes = [cv2.imread(str(file))[:, :, ::-1] for file in sorted(backgrounds.glob("*.jpg"))]
    chosen = [person for number, person in enumerate(compose_inputs.ccp()) if number % 5 == 0][:people]
    chosen += list(compose_inputs.dancer(160))[: people // 2]
    errors = []
    for number, (_, image, alpha) in enumerate(chosen):
        levels = np.rint(cv2.GaussianBlur(alpha, (0, 0), 2.0) * 255).astype(np.uint8)
        core = np.where(cv2.erode(alpha, np.ones((9, 9), np.uint8)) > 0.98, 255, 0).astype(np.uint8)
        front = cutouts.extended(image, core)
        old, new = (cv2.resize(scenes[(number * 7 + at) % len(scenes)], levels.shape[::-1]) for at in (0, 3))
        photo, ideal = _painted(front, levels, old, blend), _painted(front, levels, new, blend)
        naive = _painted(photo, levels, new, blend)
        cutout = cutouts.prepared(photo, levels)
        rows, columns = (np.flatnonzero((levels > 0).any(axis)) for axis in (1, 0))
        blended = new.copy()
        corner = max(0, int(columns[0]) - 2), max(0, int(rows[0]) - 2)
        alpha_blend.over(blended, Layer(*corner, cutout.image, cutout.levels), blend)
        band = (levels > 0) & (levels < 255)
        errors.append([np.abs(image_[band].astype(float) - ideal[band]).mean() for image_ in (blended, naive)])
    mine, plains = np.mean(errors, axis=0)
    return float(mine), float(plains)


def _painted(front: Image, levels: Levels, behind: Image, blend: Blend) -> Image:
    painted = np.ascontiguousarray(behind).copy()
    alpha_blend.over(painted, Layer(0, 0, front, levels), blend)
    return painted


def prepare(folder: Path, pictures: int) -> tuple[ours.Plan, Catalog]:
    compose_inputs.write_cutouts(folder / "people")
    compose_inputs.write_backgrounds(folder / "backgrounds")
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text(encoding="utf-8"))
    inputs = {"people": ["people"], "backgrounds": [{"path": "backgrounds"}]}
    content["compose"] = {**inputs, "people_at_most": 2, "pictures": pictures}
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    settings = catalogs.load(folder / "data_catalog.yaml")
    people, backgrounds = load_cutouts.fn(settings), filter_backgrounds.fn({}, settings)
    return ours.plan_composition(people, backgrounds, settings), settings


_PAGE = """# Synthetic pairs beside the plain loop

`PYTHONPATH=. python benchmarks/compose.py {asked} --page`: cutouts of a keyed dancer, DAVIS and CCP on frames that hold
nobody, {size} pixels, one or two people a picture, the default augmentations. The plain loop (PIL, numpy, littleCMS) follows
the same recipes and writes the same files; both in turn, one process each, medians of {rounds} rounds of {pictures} pictures.

| | pictures a second | |
|---|---|---|
| plain loop | {plain:.1f} | |
| ours | {ours:.1f} | **{ratio:.1f} ×** |
| ours, started in 1 process, first picture to last | {one:.1f} | |
| ours, in 2 processes | {two:.1f} | **{scaling:.2f} ×** |

How far the border is from the ideal: mean colour error where alpha is neither 0 nor 1, against the composite of the known
foreground.

| blend | ours | plain alpha blend | ours : plain |
|---|---|---|---|
{halo}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=int, nargs="?", default=60)
    parser.add_argument("rounds", type=int, nargs="?", default=5)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="figureground-") as temporary:
        folder = options.into or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        plan, settings = prepare(folder, options.pictures * (options.rounds + 1))
        output = Path(temporary) / "made"
        output.mkdir()
        mine, plains = speed(plan, settings, output, options.pictures, options.rounds)
        print(f"ours {mine:.1f}, plain {plains:.1f} pictures a second: {mine / plains:.2f} ×", flush=True)
        many = dataclasses.replace(plan, jobs=plan.jobs[: max(120, 2 * options.pictures)])
        rates = scaling(many, settings, output, max(1, options.rounds - 2))
        print(f"1 process {rates[1]:.1f}, 2 processes {rates[2]:.1f}: {rates[2] / rates[1]:.2f} ×", flush=True)
        lines = ""
        for blend in ("display", "linear"):
            border, naive = halo(Path(settings.storage_root.url) / f"plates/{settings.composition().note}", blend)
            lines += f"| `{blend}` | {border:.2f} | {naive:.2f} | **{border / naive:.2f}** |\n"
            print(f"halo, {blend}: ours {border:.2f}, plain {naive:.2f}: {border / naive:.2f}", flush=True)
        if options.page:
            rates_of = {"plain": plains, "ours": mine, "ratio": mine / plains, "one": rates[1], "two": rates[2]}
            size = f"{plan.settings.size.width} × {plan.settings.size.height}"
            words = {"asked": f"{options.pictures} {options.rounds}", "size": size}
            words |= {"rounds": options.rounds, "pictures": options.pictures}
            page = _PAGE.format(**rates_of, **words, scaling=rates[2] / rates[1], halo=lines)
            Path(__file__).with_suffix(".md").write_text(page, encoding="utf-8")
        if options.pairs:
            _pairs(settings, options.pairs)


def _pairs(settings: Catalog, pictures: int) -> None:
    from tasks.datasets.composite_report import write_composite_report
    from tasks.datasets.verify_composites import verify_composites

    recipe = settings.composition().model_copy(update={"pictures": pictures, "note": "pairs"})
    whole = settings.model_copy(update={"compose": recipe})
    people, backgrounds = load_cutouts.fn(whole), filter_backgrounds.fn({}, whole)
    release = ours.compose.fn(people, backgrounds, whole, cores.usable_cores())
    verify_composites(Path(release.folder))
    print(f"{release.counts} in {release.folder}; {write_composite_report.fn(people, backgrounds, release, whole)}")


if __name__ == "__main__":
    main()
