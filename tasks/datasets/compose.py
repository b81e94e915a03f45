"""People and backgrounds → a folder of synthetic pairs, made by processes side by side, each picture from its own seed.

A run that was killed carries on: what its bench holds already, whole and of the same recipe, is not made again.
"""

import json
import logging
import multiprocessing
import shutil
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pandas as pd

from figureground import __version__, layouts, plugins, progress, rng, tables
from figureground.catalog import Catalog, ComposeRecipe
from figureground.datasets import manifest, scene_lists, splits
from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.imaging import crops, masks
from figureground.similarity import duplicates
from figureground.storage import atomic, hashing
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.synthesis import composite_splits, composition_manifest, cutouts, placement, synthesize
from figureground.synthesis.augmentations import DEFAULTS, Augmentations
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.composite_splits import Input
from figureground.synthesis.cutouts import Cutout
from figureground.synthesis.placement import Subject
from figureground.synthesis.synthesize import Background, Composer, Manner, Person, Pool
from figureground.types import Image, Release, Sample, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the images of a composition change for the same inputs."""

_log = logging.getLogger(__name__)
_CACHED = 256_000_000
"""Bytes of decoded people, and as many of backgrounds, that a process keeps."""
_DONE = ".made"
_SCENE = "synthetic"
_TOGETHER = 8


class Job(NamedTuple):
    """One picture: its number, its split, whether it is a real one, and how many of its kind and split come before it."""

    number: int
    split: Split
    real: bool
    turn: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before the first picture is made."""

    manner: Manner
    pools: Mapping[Split, Pool]
    real: Mapping[Split, tuple[str, ...]]
    jobs: tuple[Job, ...]
    certificate: Mapping[str, Any]
    lacking: tuple[str, ...]
    mark: tables.Fingerprint


@retried_task
def compose(people: TableRef, backgrounds: TableRef, catalog: Catalog, processes: int = 1) -> Release:
    """Make the pairs that the catalog's ``compose`` asks for.

    Parameters
    ----------
    people, backgrounds
        The tables of `tasks.datasets.load_cutouts` and `tasks.datasets.filter_backgrounds`.
    catalog
        Gives the recipe and the storage; the folder is ``releases/SyntheticSeg_Person_<note>``.
    processes
        How many work at the same time; the files are the same for any number.

    Returns
    -------
    Release
        ``counts`` has the pictures of each split. A folder that holds just this is left untouched.

    Raises
    ------
    ReleaseError
        When nothing is left to compose, or the folder holds something else.
    StoreError
        When the storage cannot be read or the folder cannot be written.
    """
    recipe, kept = catalog.composition(), Store(catalog.storage_root)
    folder = kept.path(f"releases/{composition_manifest.FOLDER}{recipe.note}")
    plan = planned(people, backgrounds, catalog)
    for lack in plan.lacking:
        _log.warning("%s: %s", recipe.note, lack)
    if folder.exists():
        return _held(folder, plan)
    with atomic.build_folder(folder, plan.mark.digest) as bench:
        rows = list(progress.track(_made(plan, catalog, bench, processes), "compose", recipe.note, len(plan.jobs)))
        told = _finished(rows, plan, catalog, bench)
        ref = tables.write(kept, "composites", recipe.note, pd.DataFrame(rows), fingerprint=plan.mark, facts=_facts(plan))
        (bench / composition_manifest.RECIPES).write_bytes(kept.read(ref.file, ref.sha256))
        sealed = composition_manifest.sealed(told, hashing.hash_folder(bench))
        (bench / composition_manifest.FILE).write_bytes(composition_manifest.written(sealed))
        atomic.flush_folder(bench)
        bench.rename(folder)
        atomic.flush(folder.parent)
    return Release(folder.name, str(folder), str(sealed["digest"]), dict(sealed["counts"]))


def check(catalog: Catalog) -> None:
    """Build what the recipe of synthetic pairs names, so that a typo is told before anything slow begins.

    Raises
    ------
    CatalogError
        When the catalog has no ``compose``, or an augmentation is unknown, moves pixels or does not take its settings.
    """
    for target, settings in manner(catalog.composition()).augmentations.items():
        Augmentations(settings, target)  # type: ignore[arg-type]


def again(stem: str, people: TableRef, backgrounds: TableRef, catalog: Catalog) -> tuple[dict[str, bytes], list[str]]:
    """Make one picture of a finished folder again, alone.

    Parameters
    ----------
    stem
        The picture's.
    people, backgrounds, catalog
        See `compose`.

    Returns
    -------
    tuple
        The picture's files by their names in the folder, and the names of those that differ from, or lack in, the folder.

    Raises
    ------
    ReleaseError
        When the composition has no synthetic picture of that stem.
    """
    plan = planned(people, backgrounds, catalog)
    job = next((job for job in plan.jobs if not job.real and _stem(job) == stem), None)
    if job is None:
        last = max((_stem(job) for job in plan.jobs if not job.real), default="none")
        raise ReleaseError(f"there is no synthetic picture {stem!r}; the table composites lists them, the last is {last}")
    files, _ = _Workshop(plan, catalog).files(job)
    folder = Store(catalog.storage_root).path(f"releases/{composition_manifest.FOLDER}{catalog.composition().note}")
    return files, [name for name, content in files.items() if not _is(folder / name, content)]


def _is(file: Path, content: bytes) -> bool:
    return file.is_file() and file.read_bytes() == content


# --- deciding ---


def manner(recipe: ComposeRecipe) -> Manner:
    """Give the recipe's numbers as the core takes them."""
    rules = placement.Rules(
        height=recipe.person_height,
        horizon=recipe.horizon,
        half_length=recipe.half_length,
        faces=recipe.faces,
        mirrored=recipe.mirrored,
        turned_at_most=recipe.turned_at_most,
        enlarged_at_most=recipe.enlarged_at_most,
    )
    own = recipe.augmentations.model_dump()
    return Manner(
        seed=recipe.seed,
        size=Size(recipe.width, recipe.height),
        rules=rules,
        people_at_most=recipe.people_at_most,
        zoom_at_most=recipe.zoom_at_most,
        cast=recipe.shadows.cast,
        contact=recipe.shadows.contact,
        mean=recipe.match.mean,
        contrast=recipe.match.contrast,
        blend=recipe.blend,
        quality=recipe.jpeg_quality,
        augmentations={target: defaults if own[target] is None else own[target] for target, defaults in DEFAULTS.items()},
    )


def planned(people: TableRef, backgrounds: TableRef, catalog: Catalog) -> Plan:
    """Decide what is in which split and which picture is made of what.

    Raises
    ------
    ReleaseError
        When no split has both people and backgrounds, and there are no real pairs either; with the reasons.
    """
    recipe, kept = catalog.composition(), Store(catalog.storage_root)
    rows = {ref.stage: tables.read(kept, ref).rows.to_dict("records") for ref in (people, backgrounds)}
    usable = {stage: [row for row in some if not row["reason"]] for stage, some in rows.items()}
    real = _real_inputs(recipe, catalog)
    inputs = [
        Input(row["person_id"], row["origin"], "people", duplicates.unpack(row["signature"]))
        for row in usable["people"]
    ]
    inputs += [
        Input(row["background_id"], row["origin"], "backgrounds", duplicates.unpack(row["signature"]))
        for row in usable["backgrounds"]
    ]
    inputs += [one for one, _ in real]
    fixed = _fixed(usable["people"], real, catalog, kept)
    found, joined = composite_splits.assigned(inputs, fixed, recipe.val)
    parts: tuple[Split, ...] = ("train", "val")
    pools = {split: _pool(usable, found, split) for split in parts}
    own = {split: [one.name for one, _ in real if found[one.source] == split] for split in parts}
    reals = {split: _shuffled(names, recipe.seed, split) for split, names in own.items()}
    jobs, lacking = _jobs(recipe, pools, reals)
    if not jobs:
        raise ReleaseError(f"nothing can be composed: {'; '.join(lacking)}. {_refusals(rows)}")
    inputs = [one for one in inputs if found[one.source] != "test"]
    proof = composite_splits.certificate(inputs, found, joined)
    how = manner(recipe)
    story = {"manner": asdict(how), "jobs": jobs, "certificate": proof, "layouts": catalog.composite_layouts()}
    files = {row["file"]: row["sha256"] for some in usable.values() for row in some}
    versions = {f"layouts.{name}": plugins.version("layouts", name.partition("-")[0]) for name in catalog.composite_layouts()}
    story |= {"files": files, "albumentations": _albumentations()}
    mark = tables.fingerprint("composites", [], version=VERSION, plugin_versions=versions, **story)
    return Plan(how, pools, reals, tuple(jobs), proof, tuple(lacking), mark)


def _albumentations() -> str:
    from importlib.metadata import version

    return version("albumentations")


def _pool(usable: Mapping[str, Sequence[Mapping[Any, Any]]], found: Mapping[str, Split], split: Split) -> Pool:
    people = tuple(
        Person(
            Subject(row["person_id"], row["width"], row["height"], tuple(row["sides"])),
            row["origin"],
            row["file"],
            row["sha256"],
        )
        for row in usable["people"]
        if found[row["origin"]] == split
    )
    backgrounds = tuple(
        Background(
            row["background_id"],
            row["origin"],
            Size(row["width"], row["height"]),
            row["file"],
            row["sha256"],
            None if isnan(row["horizon"]) else row["horizon"],
        )
        for row in usable["backgrounds"]
        if found[row["origin"]] == split
    )
    return Pool(people, backgrounds)


def _shuffled(names: list[str], seed: int, split: str) -> tuple[str, ...]:
    ordered = sorted(names)
    return tuple(ordered[at] for at in rng.shuffle_indices(len(ordered), seed, "real", split))


def _jobs(
    recipe: ComposeRecipe, pools: Mapping[Split, Pool], reals: Mapping[Split, Sequence[str]]
) -> tuple[list[Job], list[str]]:
    """Give every picture that can be made, and in words what cannot."""
    jobs, missing = [], dict.fromkeys(pools, 0)
    for number in range(recipe.pictures):
        split, position = composite_splits.split_of(number, recipe.val)
        real, turn = composite_splits.turn_of(position, recipe.real_share, len(reals[split]))
        if real or (pools[split].people and pools[split].backgrounds):
            jobs.append(Job(number, split, real, turn))
        else:
            missing[split] += 1
    lacking = []
    for split, count in missing.items():
        kinds = [kind for kind in ("people", "backgrounds") if not getattr(pools[split], kind)]
        if count and kinds:
            lacking.append(f"{split} has no {' and no '.join(kinds)}: {count} of its pictures cannot be made")
    wanted = sum(composite_splits.turn_of(at, recipe.real_share, recipe.pictures)[0] for at in range(recipe.pictures))
    if (there := sum(job.real for job in jobs)) < wanted * 0.98 - 2:
        lacking.append(f"real_share asks for about {wanted} real pairs; there are {there}")
    return jobs, lacking


def _refusals(rows: Mapping[str, Sequence[Mapping[Any, Any]]]) -> str:
    """Say how many of each kind were refused for which reason."""
    said = []
    for stage, some in rows.items():
        reasons = pd.Series([row["reason"].partition(":")[0] for row in some if row["reason"]], dtype=str).value_counts()
        listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        said.append(f"Of {len(some)} {stage} {sum(reasons)} were refused" + (f" ({listed})" if listed else ""))
    return "; ".join(said) + ". Add some, or loosen the limits: the tables people and backgrounds say why each was refused"


def _fixed(
    people: Sequence[Mapping[Any, Any]], real: Sequence[tuple[Input, Split]], catalog: Catalog, kept: Store
) -> dict[str, Split]:
    """Give the splits that releases and the catalog have given to sources; the most held-out wins."""
    told: list[tuple[str, Split]] = [(row["origin"], row["split"]) for row in people if row["split"]]
    told += [(one.source, split) for one, split in real]
    told += [(name, entry.split) for name, entry in catalog.sources.items() if entry.split != "auto"]
    told += manifest.read_released_splits(kept.path("releases"))
    return splits.most_held_out_by_source(told)


# --- real pairs ---


def _real(recipe: ComposeRecipe, catalog: Catalog) -> Iterator[tuple[Sample, str]]:
    """Give the samples of the release that real pairs come from, with their sources."""
    if not recipe.real or not recipe.real_share:
        return
    folder = (catalog.folder / Path(recipe.real).expanduser()).resolve()
    try:
        content = (folder / manifest.FILE).read_bytes()
    except OSError as error:
        raise ReleaseError(f"compose.real: {folder} is no release: {manifest.FILE}: {error.strerror}") from error
    if problem := manifest.check_seal(content):
        raise ReleaseError(f"compose.real: {folder}: {problem}; `figureground verify {folder}` says more")
    held = manifest.parse(content)
    name, place = min(held.layouts.items(), key=lambda one: (one[0] not in ("im_gt", "aisegment"), one[1] != "."))
    for sample in layouts.build(name, held.settings.get(name, {})).read(folder / place):
        if sample.split != "test":
            yield sample, held.samples[sample.sample_id].source


def _real_inputs(recipe: ComposeRecipe, catalog: Catalog) -> list[tuple[Input, Split]]:
    return [
        (Input(sample.sample_id, source, "real", duplicates.compute_jpeg_signature(sample.image)), sample.split)
        for sample, source in _real(recipe, catalog)
    ]


# --- making ---


def _stem(job: Job) -> str:
    return f"{job.number:06d}"


class _Read:
    """Decoded inputs, as many as fit, the least recently used let go first."""

    def __init__(self, kept: Store) -> None:
        self._kept = kept
        self._held: dict[str, OrderedDict[str, Any]] = {"people": OrderedDict(), "backgrounds": OrderedDict()}
        self._bytes = dict.fromkeys(self._held, 0)

    def cutout(self, person: Person) -> Cutout:
        return self._get("people", person.file, lambda: cutouts.decode(self._kept.read(person.file, person.sha256)))  # type: ignore[no-any-return]

    def background(self, background: Background) -> Image:
        file = background.file
        return self._get("backgrounds", file, lambda: crops.decode(self._kept.read(file, background.sha256), file))  # type: ignore[no-any-return]

    def _get(self, kind: str, file: str, read: Any) -> Any:
        held = self._held[kind]
        if file in held:
            held.move_to_end(file)
            return held[file]
        held[file] = read()
        self._bytes[kind] += _bytes(held[file])
        while self._bytes[kind] > _CACHED and len(held) > 1:
            self._bytes[kind] -= _bytes(held.popitem(last=False)[1])
        return held[file]


def _bytes(one: Any) -> int:
    return int(one.image.nbytes + one.levels.nbytes if isinstance(one, Cutout) else one.nbytes)


class _Workshop:
    """Makes pictures; one in each process."""

    def __init__(self, plan: Plan, catalog: Catalog) -> None:
        self.plan = plan
        self._composer = Composer(plan.manner)
        self._inputs = _Read(Store(catalog.storage_root))

    def files(self, job: Job) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Give a picture's files by their names in the folder, and its row."""
        made = self._composer.composed(job.number, job.turn, job.split, self.plan.pools[job.split], self._inputs)
        stem = _stem(job)
        image, truth = f"im/{job.split}/{stem}.jpg", f"gt/{job.split}/{stem}.png"
        files = {image: synthesize.encoded(made), truth: synthesize.encoded_truth(made.truth)}
        for at, levels in enumerate(made.each if len(made.each) > 1 else ()):
            files[f"people/{job.split}/{stem}-{at}.png"] = synthesize.encoded_truth(levels)
        row = {
            "picture_id": stem,
            "split": job.split,
            "seed": f"{made.seed:016x}",
            "background_id": made.background_id,
            "people": list(made.people),
            "boxes": [[box.x0, box.y0, box.x1, box.y1] for box in made.boxes],
            "recipe": synthesize.recipe_text(made),
        }
        return files, row | _hashed(image, files[image], truth, files[truth])


def _hashed(image: str, content: bytes, truth: str, alpha: bytes) -> dict[str, str]:
    return {"image": image, "image_sha256": sha256(content), "truth": truth, "truth_sha256": sha256(alpha)}


_workshop: _Workshop | None = None
_place = Path()


def _begin(plan: Plan, catalog: Catalog, bench: Path) -> None:
    """Set up one process."""
    global _workshop, _place
    cv2.setNumThreads(1)  # the processes are the parallelism
    _workshop, _place = _Workshop(plan, catalog), bench


def _make(job: Job) -> dict[str, Any]:
    """Make one picture on the bench, unless it is there already: what is written last says that all is."""
    done = _place / _DONE / f"{_stem(job)}.json"
    if row := _found(done):
        return row
    if _workshop is None:
        raise RuntimeError("a process that was not set up")
    files, row = _workshop.files(job)
    for name, content in files.items():
        (_place / name).parent.mkdir(parents=True, exist_ok=True)
        (_place / name).write_bytes(content)
    temporary = done.with_suffix(".tmp")
    temporary.write_text(json.dumps({"row": row, "files": {name: sha256(content) for name, content in files.items()}}))
    temporary.rename(done)
    return row


def _found(done: Path) -> dict[str, Any] | None:
    if not done.is_file():
        return None
    told = json.loads(done.read_text())
    files = {_place / name: digest for name, digest in told["files"].items()}
    whole = all(file.is_file() and hashing.sha256_file(file) == digest for file, digest in files.items())
    return dict(told["row"]) if whole else None


def _made(plan: Plan, catalog: Catalog, bench: Path, processes: int) -> Iterator[dict[str, Any]]:
    """Give the rows in the jobs' order."""
    (bench / _DONE).mkdir(exist_ok=True)
    real = _real_rows(plan, catalog, bench)
    synthetic = [job for job in plan.jobs if not job.real]
    several = processes > 1 and len(synthetic) > _TOGETHER
    rows = _by_processes(plan, catalog, bench, synthetic, processes) if several else _here(plan, catalog, bench, synthetic)
    for job in plan.jobs:
        yield real[plan.real[job.split][job.turn]] if job.real else next(rows)


def _here(plan: Plan, catalog: Catalog, bench: Path, jobs: Iterable[Job]) -> Iterator[dict[str, Any]]:
    threads = cv2.getNumThreads()
    _begin(plan, catalog, bench)
    try:
        yield from map(_make, jobs)
    finally:
        cv2.setNumThreads(threads)


def _by_processes(plan: Plan, catalog: Catalog, bench: Path, jobs: Sequence[Job], processes: int) -> Iterator[dict[str, Any]]:
    fresh = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of this process hold
    with ProcessPoolExecutor(processes, fresh, _begin, (plan, catalog, bench)) as pool:
        try:
            yield from pool.map(_make, jobs, chunksize=_TOGETHER)
        except BrokenProcessPool as error:
            raise ReleaseError(
                f"one of {processes} processes that make pictures was ended from outside, perhaps for want of memory; "
                "run again, with fewer --workers: it carries on"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _real_rows(plan: Plan, catalog: Catalog, bench: Path) -> dict[str, dict[str, Any]]:
    """Write the real pairs that are wanted, byte for byte where the release has their JPEGs, and give their rows."""
    wanted = {plan.real[job.split][job.turn]: job.split for job in plan.jobs if job.real}
    rows, scenes = {}, {}
    for sample, source in _real(catalog.composition(), catalog) if wanted else ():
        if sample.sample_id not in wanted:
            continue
        split = wanted[sample.sample_id]
        image, truth = f"im/{split}/{sample.sample_id}.jpg", f"gt/{split}/{sample.sample_id}.png"
        alpha = synthesize.encoded_truth(masks.to_levels(sample.alpha))
        for name, content in ((image, sample.image), (truth, alpha)):
            (bench / name).parent.mkdir(parents=True, exist_ok=True)
            (bench / name).write_bytes(content)
        row = {"picture_id": sample.sample_id, "split": split, "seed": "", "background_id": "", "people": [], "boxes": []}
        recipe = json.dumps({"real": source}, sort_keys=True)
        rows[sample.sample_id] = row | {"recipe": recipe} | _hashed(image, sample.image, truth, alpha)
        scenes[sample.sample_id] = sample.scenes
    listed: dict[str, list[str]] = {_SCENE: [_stem(job) for job in plan.jobs if not job.real]}
    for stem, some in scenes.items():
        for scene in some:
            listed.setdefault(scene, []).append(stem)
    scene_lists.write({scene: stems for scene, stems in listed.items() if stems}, bench / "scenes")
    return rows


def _finished(rows: Sequence[Mapping[str, Any]], plan: Plan, catalog: Catalog, bench: Path) -> dict[str, Any]:
    """Write the further layouts and the certificate; give what ``composition.json`` says besides the files."""
    recipe = catalog.composition()
    shutil.rmtree(bench / _DONE)
    for name, settings in catalog.composite_layouts().items():
        layouts.build(name, settings).write(layouts.build("im_gt", {}).read(bench), bench / name)
    (bench / composite_splits.FILE).write_bytes(composite_splits.written(plan.certificate))
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["split"]] = counts.get(row["split"], 0) + 1
    sources = {one["source"] for some in plan.certificate["inputs"].values() for one in some.values()}
    licenses = {name: entry.license for name, entry in catalog.sources.items() if name in sources}
    return {
        "format": 1,
        "code": __version__,
        "made_from": plan.mark.digest,
        "note": recipe.note,
        "manner": json.loads(json.dumps(asdict(plan.manner))),
        "layouts": {"im_gt": "."} | {name: name for name in catalog.composite_layouts()},
        "settings": catalog.composite_layouts(),
        "licenses": licenses,
        "counts": counts,
        "real": sum(job.real for job in plan.jobs),
        "lacking": list(plan.lacking),
    }


def _facts(plan: Plan) -> dict[str, Any]:
    pools = {
        split: {"people": len(pool.people), "backgrounds": len(pool.backgrounds), "real": len(plan.real[split])}
        for split, pool in plan.pools.items()
    }
    return {"pools": pools, "lacking": list(plan.lacking), "made_from": plan.mark.digest}


def _held(folder: Path, plan: Plan) -> Release:
    """Give the folder that is there already when it is the planned one, whole."""
    file = folder / composition_manifest.FILE
    if not file.is_file():
        raise ReleaseError(f"{folder} exists and is no composition; choose another compose.note, or move it away")
    told = composition_manifest.parse(file.read_bytes(), str(folder))
    if not plan.mark.matches(told["made_from"]):
        raise ReleaseError(
            f"{folder} exists and was made of other inputs, settings or versions, and is never changed; "
            "choose another compose.note, or move it away"
        )
    found = dict(hashing.hash_folder(folder).items())
    found.pop(composition_manifest.FILE)
    if ill := composition_manifest.differing(told, found):
        raise ReleaseError(f"{folder} is damaged: {'; '.join(ill[:5])}. Move it away, then run again")
    return Release(folder.name, str(folder), str(told["digest"]), dict(told["counts"]))


def lacks(catalog: Catalog) -> tuple[str, ...]:
    """Say what a finished composition could not have of what the catalog asks for."""
    found = tables.latest(Store(catalog.storage_root), "composites", catalog.composition().note)
    return tuple(found.facts["lacking"]) if found else ()
