"""compose: people and backgrounds → a folder of synthetic pairs.

A run that was killed continues: what lies in its build folder, whole and of the same plan, is not made again.
"""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from figureground import __version__, layouts, plugins, progress, tables
from figureground.catalog import Catalog, ComposeRecipe
from figureground.datasets import manifest, scene_lists, splits
from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.imaging import masks
from figureground.similarity import duplicates
from figureground.storage import atomic, hashing
from figureground.storage.store import Store
from figureground.synthesis import composite_splits, composition_manifest, placement, planning, synthesize
from figureground.synthesis.augmentations import DEFAULTS, Augmentations
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.composite_splits import Input
from figureground.synthesis.making import DONE_FOLDER, ImageMaker, Work, make_images
from figureground.synthesis.planning import Job
from figureground.synthesis.synthesize import ComposeSettings, Pool
from figureground.tables import BackgroundRow, CompositeRow, PersonRow
from figureground.types import Release, Sample, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the images of a composition change for the same inputs."""

_log = logging.getLogger(__name__)
_SCENE = "synthetic"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before the first image is made."""

    settings: ComposeSettings
    pools: Mapping[Split, Pool]
    real: Mapping[Split, tuple[str, ...]]
    jobs: tuple[Job, ...]
    certificate: Mapping[str, Any]
    lacking: tuple[str, ...]
    mark: tables.Fingerprint


@retried_task
def compose(people: TableRef, backgrounds: TableRef, catalog: Catalog, workers: int = 1) -> Release:
    """Make the pairs that the catalog's ``compose`` asks for.

    Parameters
    ----------
    people, backgrounds
        The tables of `tasks.datasets.load_cutouts` and `tasks.datasets.filter_backgrounds`.
    catalog
        Gives the recipe and the storage; the folder is ``releases/SyntheticSeg_Person_<note>``.
    workers
        How many processes; the files are the same for any number.

    Returns
    -------
    Release
        ``counts`` has the images of each split. A folder that holds exactly this composition is left unchanged.

    Raises
    ------
    ReleaseError
        When nothing is left to compose, or the folder holds something else.
    StoreError
        When the storage cannot be read or the folder cannot be written.
    """
    recipe, kept = catalog.composition(), Store(catalog.storage_root)
    folder = kept.path(f"releases/{composition_manifest.FOLDER}{recipe.note}")
    plan = plan_composition(people, backgrounds, catalog)
    for lack in plan.lacking:
        _log.warning("%s: %s", recipe.note, lack)
    if folder.exists():
        return _read_existing(folder, plan)
    with atomic.build_folder(folder, plan.mark.digest) as build:
        rows = list(progress.track(_make(plan, catalog, build, workers), "compose", recipe.note, len(plan.jobs)))
        content = _finish(rows, plan, catalog, build)
        ref = tables.write_rows(kept, "composites", recipe.note, rows, fingerprint=plan.mark, facts=_facts(plan))
        (build / composition_manifest.RECIPES).write_bytes(kept.read(ref.file, ref.sha256))
        sealed = composition_manifest.seal(content, hashing.hash_folder(build))
        (build / composition_manifest.FILE).write_bytes(composition_manifest.render(sealed))
        atomic.flush_folder(build)
        build.rename(folder)
        atomic.flush(folder.parent)
    return Release(folder.name, str(folder), str(sealed["digest"]), dict(sealed["counts"]))


def check_recipe(catalog: Catalog) -> None:
    """Build what the recipe of synthetic pairs names, so that a typo is reported before anything slow begins.

    Raises
    ------
    CatalogError
        When the catalog has no ``compose``, or an augmentation is unknown, moves pixels or does not take its settings.
    """
    for target, settings in settings_of(catalog.composition()).augmentations.items():
        Augmentations(settings, target)  # type: ignore[arg-type]


def compose_again(
    sample_id: str, people: TableRef, backgrounds: TableRef, catalog: Catalog
) -> tuple[dict[str, bytes], list[str]]:
    """Make one image of a finished folder again, alone.

    Parameters
    ----------
    sample_id
        The image's.
    people, backgrounds, catalog
        See `compose`.

    Returns
    -------
    tuple
        The image's files by their names in the folder, and the names of those that differ or are missing in the folder.

    Raises
    ------
    ReleaseError
        When the composition has no synthetic image of that id.
    """
    plan = plan_composition(people, backgrounds, catalog)
    job = next((job for job in plan.jobs if not job.real and job.sample_id == sample_id), None)
    if job is None:
        last = max((job.sample_id for job in plan.jobs if not job.real), default="none")
        raise ReleaseError(f"there is no synthetic image {sample_id!r}; the table composites lists them, the last is {last}")
    files, _ = ImageMaker(_work(plan, catalog, Path())).make(job)
    folder = Store(catalog.storage_root).path(f"releases/{composition_manifest.FOLDER}{catalog.composition().note}")
    return files, [name for name, content in files.items() if not _holds(folder / name, content)]


def _holds(file: Path, content: bytes) -> bool:
    return file.is_file() and file.read_bytes() == content


# --- deciding ---


def settings_of(recipe: ComposeRecipe) -> ComposeSettings:
    """Give the recipe's numbers as the library takes them."""
    rules = placement.Rules(
        height=recipe.person_height,
        horizon=recipe.horizon,
        half_length=recipe.half_length,
        faces=recipe.faces,
        mirrored=recipe.mirrored,
        turned_at_most=recipe.turned_at_most,
        enlarged_at_most=recipe.enlarged_at_most,
    )
    augmentations = recipe.augmentations.model_dump()
    return ComposeSettings(
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
        augmentations={
            target: defaults if augmentations[target] is None else augmentations[target]
            for target, defaults in DEFAULTS.items()
        },
    )


def plan_composition(people: TableRef, backgrounds: TableRef, catalog: Catalog) -> Plan:
    """Decide which input is in which split and which image is made of what.

    Raises
    ------
    ReleaseError
        When no split has both people and backgrounds, and there are no real pairs either; with the reasons.
    """
    recipe, store = catalog.composition(), Store(catalog.storage_root)
    all_people = tables.read_rows(store, people, PersonRow)
    all_backgrounds = tables.read_rows(store, backgrounds, BackgroundRow)
    usable_people = [row for row in all_people if not row.reason]
    usable_backgrounds = [row for row in all_backgrounds if not row.reason]
    real = _real_inputs(recipe, catalog)
    inputs = [*planning.list_inputs(usable_people, usable_backgrounds), *(item for item, _ in real)]
    fixed = _fixed_splits(usable_people, real, catalog, store)
    assigned, joined = composite_splits.assign_splits(inputs, fixed, recipe.val)
    pools = {
        split: planning.make_pool(usable_people, usable_backgrounds, assigned, split) for split in planning.SPLITS
    }
    real_names = {
        split: planning.shuffle_names(
            [item.name for item, _ in real if assigned[item.source] == split], recipe.seed, split
        )
        for split in planning.SPLITS
    }
    jobs, lacking = planning.plan_jobs(recipe.pictures, recipe.val, recipe.real_share, pools, real_names)
    if not jobs:
        rejections = planning.summarise_rejections({"people": all_people, "backgrounds": all_backgrounds})
        raise ReleaseError(f"nothing can be composed: {'; '.join(lacking)}. {rejections}")
    used = [item for item in inputs if assigned[item.source] != "test"]
    certificate = composite_splits.make_certificate(used, assigned, joined)
    settings = settings_of(recipe)
    files = {row.file: row.sha256 for row in usable_people} | {row.file: row.sha256 for row in usable_backgrounds}
    mark = _fingerprint(settings, jobs, certificate, files, catalog)
    return Plan(settings, pools, real_names, tuple(jobs), certificate, tuple(lacking), mark)


def _fingerprint(
    settings: ComposeSettings,
    jobs: Sequence[Job],
    certificate: Mapping[str, Any],
    files: Mapping[str, str],
    catalog: Catalog,
) -> tables.Fingerprint:
    """Hash everything that decides the images' bytes."""
    names = catalog.composite_layouts()
    versions = {f"layouts.{name}": plugins.version("layouts", name.partition("-")[0]) for name in names}
    decides = {"manner": asdict(settings), "jobs": jobs, "certificate": certificate, "layouts": names}
    decides |= {"files": files, "albumentations": version("albumentations")}
    return tables.fingerprint("composites", [], version=VERSION, plugin_versions=versions, **decides)


def _fixed_splits(
    people: Sequence[PersonRow], real: Sequence[tuple[Input, Split]], catalog: Catalog, store: Store
) -> dict[str, Split]:
    """Give the splits that releases and the catalog have given to sources; the most held-out wins."""
    assigned: list[tuple[str, Split]] = [(row.origin, cast(Split, row.split)) for row in people if row.split]
    assigned += [(item.source, split) for item, split in real]
    assigned += [(name, entry.split) for name, entry in catalog.sources.items() if entry.split != "auto"]
    assigned += manifest.read_released_splits(store.path("releases"))
    return splits.most_held_out_by_source(assigned)


# --- real pairs ---


def _read_real(recipe: ComposeRecipe, catalog: Catalog) -> Iterator[tuple[Sample, str]]:
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
    release = manifest.parse(content)
    name, layout_folder = min(
        release.layouts.items(), key=lambda entry: (entry[0] not in ("im_gt", "aisegment"), entry[1] != ".")
    )
    for sample in layouts.build(name, release.settings.get(name, {})).read(folder / layout_folder):
        if sample.split != "test":
            yield sample, release.samples[sample.sample_id].source


def _real_inputs(recipe: ComposeRecipe, catalog: Catalog) -> list[tuple[Input, Split]]:
    return [
        (Input(sample.sample_id, source, "real", duplicates.compute_jpeg_signature(sample.image)), sample.split)
        for sample, source in _read_real(recipe, catalog)
    ]


# --- writing ---


def _work(plan: Plan, catalog: Catalog, folder: Path) -> Work:
    return Work(plan.settings, plan.pools, Store(catalog.storage_root), folder)


def _make(plan: Plan, catalog: Catalog, build: Path, workers: int) -> Iterator[CompositeRow]:
    """Make all images, and give their rows in the order of the jobs."""
    real = _write_real_pairs(plan, catalog, build)
    synthetic = make_images(_work(plan, catalog, build), [job for job in plan.jobs if not job.real], workers)
    for job in plan.jobs:
        yield real[plan.real[job.split][job.turn]] if job.real else next(synthetic)


def _write_real_pairs(plan: Plan, catalog: Catalog, build: Path) -> dict[str, CompositeRow]:
    """Write the real pairs that are wanted, byte for byte where the release has their JPEGs, and give their rows."""
    wanted = {plan.real[job.split][job.turn]: job.split for job in plan.jobs if job.real}
    rows, scenes = {}, {}
    for sample, source in _read_real(catalog.composition(), catalog) if wanted else ():
        if sample.sample_id not in wanted:
            continue
        split = wanted[sample.sample_id]
        image, truth = f"im/{split}/{sample.sample_id}.jpg", f"gt/{split}/{sample.sample_id}.png"
        alpha = synthesize.encode_alpha(masks.to_levels(sample.alpha))
        for name, content in ((image, sample.image), (truth, alpha)):
            (build / name).parent.mkdir(parents=True, exist_ok=True)
            (build / name).write_bytes(content)
        rows[sample.sample_id] = CompositeRow(
            picture_id=sample.sample_id,
            split=split,
            seed="",
            background_id="",
            people=(),
            boxes=(),
            recipe=json.dumps({"real": source}, sort_keys=True),
            image=image,
            image_sha256=hashing.sha256(sample.image),
            truth=truth,
            truth_sha256=hashing.sha256(alpha),
        )
        scenes[sample.sample_id] = sample.scenes
    listed: dict[str, list[str]] = {_SCENE: [job.sample_id for job in plan.jobs if not job.real]}
    for sample_id, names in scenes.items():
        for scene in names:
            listed.setdefault(scene, []).append(sample_id)
    scene_lists.write({scene: sample_ids for scene, sample_ids in listed.items() if sample_ids}, build / "scenes")
    return rows


def _finish(rows: Sequence[CompositeRow], plan: Plan, catalog: Catalog, build: Path) -> dict[str, Any]:
    """Write the further layouts and the certificate; give what ``composition.json`` says besides the files."""
    recipe = catalog.composition()
    if (notes := build / DONE_FOLDER).exists():
        shutil.rmtree(notes)
    for name, settings in catalog.composite_layouts().items():
        layouts.build(name, settings).write(layouts.build("im_gt", {}).read(build), build / name)
    (build / composite_splits.FILE).write_bytes(composite_splits.render(plan.certificate))
    sources = {entry["source"] for kind in plan.certificate["inputs"].values() for entry in kind.values()}
    licenses = {name: entry.license for name, entry in catalog.sources.items() if name in sources}
    return {
        "format": 1,
        "code": __version__,
        "made_from": plan.mark.digest,
        "note": recipe.note,
        "manner": json.loads(json.dumps(asdict(plan.settings))),
        "layouts": {"im_gt": "."} | {name: name for name in catalog.composite_layouts()},
        "settings": catalog.composite_layouts(),
        "licenses": licenses,
        "counts": dict(Counter(row.split for row in rows)),
        "real": sum(job.real for job in plan.jobs),
        "lacking": list(plan.lacking),
    }


def _facts(plan: Plan) -> dict[str, Any]:
    pools = {
        split: {"people": len(pool.people), "backgrounds": len(pool.backgrounds), "real": len(plan.real[split])}
        for split, pool in plan.pools.items()
    }
    return {"pools": pools, "lacking": list(plan.lacking), "made_from": plan.mark.digest}


def _read_existing(folder: Path, plan: Plan) -> Release:
    """Give the folder that is there already when it is the planned composition, whole."""
    file = folder / composition_manifest.FILE
    if not file.is_file():
        raise ReleaseError(f"{folder} exists and is no composition; choose another compose.note, or move it away")
    content = composition_manifest.parse(file.read_bytes(), str(folder))
    if not plan.mark.matches(content["made_from"]):
        raise ReleaseError(
            f"{folder} exists and was made of other inputs, settings or versions, and is never changed; "
            "choose another compose.note, or move it away"
        )
    files = dict(hashing.hash_folder(folder).items())
    files.pop(composition_manifest.FILE)
    if differing := composition_manifest.compare_files(content, files):
        raise ReleaseError(f"{folder} is damaged: {'; '.join(differing[:5])}. Move it away, then run again")
    return Release(folder.name, str(folder), str(content["digest"]), dict(content["counts"]))


def missing_images(catalog: Catalog) -> tuple[str, ...]:
    """Say what the catalog asks for that a finished composition does not have."""
    composites = tables.latest(Store(catalog.storage_root), "composites", catalog.composition().note)
    return tuple(composites.facts["lacking"]) if composites else ()
