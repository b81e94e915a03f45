"""Does a release train a better remover? Teaching networks, scoring them, and comparing what two releases teach."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from prefect import flow

from figureground.catalog import Catalog, load
from figureground.clients.sources.fetching import fetch_asset
from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.plugins import weights
from figureground.storage.store import Store
from figureground.training import checkpoints, sample_cache
from figureground.training.checkpoints import Card
from tasks.models.evaluate import Evaluation, build_remover
from tasks.models.evaluate import evaluate as score
from tasks.models.model_comparison import ModelComparison
from tasks.models.model_comparison import compare_models as write_comparison
from tasks.models.train import train as teach

if TYPE_CHECKING:  # it takes seconds to import
    from figureground.training.settings import TrainingSettings

Device = Literal["auto", "cpu", "cuda"]


class Trained(NamedTuple):
    """A checkpoint's folder and card."""

    folder: Path
    card: Card


@flow(name="baseline", validate_parameters=False, persist_result=False)
def train(
    release: Path,
    how: "TrainingSettings",
    catalog: str = "data_catalog.yaml",
    into: Path | None = None,
    device: Device = "auto",
) -> Trained:
    """Teach a network what a release shows.

    Parameters
    ----------
    release
        The release's folder.
    how
        See `figureground.training.settings.TrainingSettings`.
    catalog
        The catalog's file; its storage holds the checkpoint where `into` is None.
    into
        The checkpoint's folder.
    device
        ``auto`` takes a GPU where there is one.

    Raises
    ------
    ReleaseError, AssetError, StoreError
        See `tasks.models.train.train`.
    """
    folder = into or models(load(Path(catalog))) / name_checkpoint(release, how)
    return Trained(folder, teach(release, how, folder, device))


def models(catalog: Catalog) -> Path:
    """Give the folder of the storage that holds checkpoints."""
    return Store(catalog.storage_root).path("models")


def name_checkpoint(release: Path, how: "TrainingSettings") -> str:
    """Call a checkpoint: its network, classes, seed, and the release that taught it."""
    return f"{how.network}-{how.classes}-{how.seed}-{release.resolve().name}"


@flow(name="evaluate", validate_parameters=False, persist_result=False)
def evaluate(
    model: str,
    release: Path,
    catalog: str = "data_catalog.yaml",
    into: Path | None = None,
    splits: Sequence[Split] = (),
    classes: int | None = None,
    device: Device = "auto",
) -> Evaluation:
    """Score a checkpoint, a folder of predictions or a remover, see `tasks.models.evaluate.evaluate`."""
    settings = load(Path(catalog))
    _fetch(model, settings)
    return score(model, release, settings, into or _place(settings, model, release), splits, classes, device)


def _place(catalog: Catalog, model: str, release: Path) -> Path:
    plain = "".join(sign if sign.isalnum() else "-" for sign in model).strip("-")
    called = Path(model).resolve().name if Path(model).is_dir() else plain
    return Store(catalog.storage_root).path(f"evaluations/{called}-on-{release.resolve().name}")


def _fetch(model: str, catalog: Catalog) -> None:
    """Bring what a remover needs, and what finds the person it is asked about."""
    if not Path(model).is_dir():
        for plugin in (build_remover(model, catalog), catalog.detector()):
            for sample in weights(plugin):
                fetch_asset(catalog.asset(sample.name))


class Compared(NamedTuple):
    """What the new release's networks gained on the test pictures of either release, and how many were left out."""

    contests: tuple[ModelComparison, ...]
    left_out: tuple[str, ...]


@flow(name="compare", validate_parameters=False, persist_result=False)
def compare(
    old: Path,
    new: Path,
    how: "TrainingSettings",
    seeds: int = 1,
    catalog: str = "data_catalog.yaml",
    into: Path | None = None,
    device: Device = "auto",
) -> Compared:
    """Teach the same network on two releases and score both on the test pictures of each.

    Sources of one release's test split that the other one learns from, or chooses its weights by, are left out.

    Parameters
    ----------
    old, new
        The releases' folders.
    how
        The same for both.
    seeds
        How many trainings each, of the seeds ``how.seed`` and the next ones.
    catalog, device
        See `train`.
    into
        The folder for the pages; None: ``evaluations`` in the storage.

    Raises
    ------
    ReleaseError
        When no picture is left to test on.
    """
    import dataclasses

    settings = load(Path(catalog))
    courses = [dataclasses.replace(how, seed=how.seed + number) for number in range(seeds)]
    folders = {
        release: [
            train.fn(release, sample, catalog, models(settings) / name_checkpoint(release, sample), device).folder
            for sample in courses
        ]
        for release in (old, new)
    }
    names = (old.resolve().name, new.resolve().name)
    where = into or Store(settings.storage_root).path(f"evaluations/{names[0]}-to-{names[1]}")
    seen = {source for release in (old, new) for source, split in _places(release, how) if split != "test"}
    contests, left_out = [], set()
    for release in (old, new):
        tested = {source for source, split in _places(release, how) if split == "test"}
        left_out |= tested & seen
        if not tested - seen:
            continue
        known = frozenset(tested & seen)
        result: dict[Path, list[Any]] = {}
        for trained_on, checkpoint_folders in folders.items():
            page_folders = {sample: where / f"{sample.name}-on-{release.resolve().name}" for sample in checkpoint_folders}
            result[trained_on] = [
                score(str(sample), release, settings, page_folder, ("test",), None, device, known)
                for sample, page_folder in page_folders.items()
            ]
        old_rows, new_rows = ([sample.rows for sample in result[trained_on]] for trained_on in (old, new))
        on = f"the test split of {release.resolve().name}"
        contests.append(
            write_comparison(names, on, old_rows, new_rows, result[old][0].names, where / f"on-{release.resolve().name}")
        )
    if not contests:
        raise ReleaseError(
            f"neither {names[0]} nor {names[1]} has a test picture whose source the other does not learn from; "
            "cut releases with `test` above 0"
        )
    return Compared(tuple(contests), tuple(sorted(left_out)))


def count_training_images(release: Path, classes: int) -> int:
    """Count the images of a release's train split, which is one epoch.

    Parameters
    ----------
    release
        The release's folder.
    classes
        See `figureground.training.settings.TrainingSettings`.

    Raises
    ------
    ReleaseError
        When the folder is no release that can be read.
    """
    counts = sample_cache.open_release(release, classes).places()
    return sum(count for (_, split), count in counts.items() if split == "train")


def _places(release: Path, how: "TrainingSettings") -> Any:
    return sample_cache.open_release(release, how.classes).places()


@flow(name="compare-removers", validate_parameters=False, persist_result=False)
def compare_models(
    old: str,
    new: str,
    release: Path,
    catalog: str = "data_catalog.yaml",
    into: Path | None = None,
    splits: Sequence[Split] = ("test",),
    classes: int | None = None,
    device: Device = "auto",
) -> ModelComparison:
    """Compare two checkpoints, folders of predictions or removers on a release: is the new one better before it takes over.

    Parameters
    ----------
    old, new
        See `tasks.models.evaluate.evaluate`.
    release, catalog, splits, classes, device
        See `evaluate`.
    into
        The folder for the pages; None: ``evaluations`` in the storage.
    """
    settings = load(Path(catalog))
    wanted = classes or min(_classes(old), _classes(new))
    for model in (old, new):
        _fetch(model, settings)  # both, so that a slip in the second is told before the first has been asked for minutes
    result: list[Evaluation] = []
    for model in (old, new):
        page_folder = (into / ("new" if result else "old")) if into else _place(settings, model, release)
        result.append(score(model, release, settings, page_folder, splits, wanted, device))
    names = (result[0].who, result[1].who)
    where = into or Store(settings.storage_root).path(f"evaluations/{names[0]}-to-{names[1]}-on-{release.resolve().name}")
    on = f"{', '.join(splits) or 'all'} of {result[0].release}"
    return write_comparison(names, on, [result[0].rows], [result[1].rows], result[0].names, where)


def _classes(model: str) -> int:
    return checkpoints.read(Path(model)).classes if (Path(model) / checkpoints.CARD).is_file() else 1
