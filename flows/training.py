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
from tasks.models.evaluate import Evaluation, remover
from tasks.models.evaluate import evaluate as score
from tasks.models.model_comparison import Contest, contest
from tasks.models.train import train as teach

if TYPE_CHECKING:  # it takes seconds to import
    from figureground.training.loop import Training

Device = Literal["auto", "cpu", "cuda"]


class Trained(NamedTuple):
    """A checkpoint's folder and card."""

    folder: Path
    card: Card


@flow(name="baseline", validate_parameters=False, persist_result=False)
def train(
    release: Path, how: "Training", catalog: str = "data_catalog.yaml", into: Path | None = None, device: Device = "auto"
) -> Trained:
    """Teach a network what a release shows.

    Parameters
    ----------
    release
        The release's folder.
    how
        See `figureground.training.loop.Training`.
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
    folder = into or models(load(Path(catalog))) / name_of(release, how)
    return Trained(folder, teach(release, how, folder, device))


def models(catalog: Catalog) -> Path:
    """Give the folder of the storage that holds checkpoints."""
    return Store(catalog.storage_root).path("models")


def name_of(release: Path, how: "Training") -> str:
    """Call a checkpoint: its network, classes, seed, and the release that taught it."""
    return f"{how.network}-{how.classes}-{how.seed}-{release.resolve().name}"


@flow(name="evaluate", validate_parameters=False, persist_result=False)
def evaluate(
    who: str,
    release: Path,
    catalog: str = "data_catalog.yaml",
    into: Path | None = None,
    splits: Sequence[Split] = (),
    classes: int | None = None,
    device: Device = "auto",
) -> Evaluation:
    """Score a checkpoint, a folder of predictions or a remover, see `tasks.models.evaluate.evaluate`."""
    settings = load(Path(catalog))
    _fetch(who, settings)
    return score(who, release, settings, into or _place(settings, who, release), splits, classes, device)


def _place(catalog: Catalog, who: str, release: Path) -> Path:
    plain = "".join(sign if sign.isalnum() else "-" for sign in who).strip("-")
    called = Path(who).resolve().name if Path(who).is_dir() else plain
    return Store(catalog.storage_root).path(f"evaluations/{called}-on-{release.resolve().name}")


def _fetch(who: str, catalog: Catalog) -> None:
    """Bring what a remover needs, and what finds the person it is asked about."""
    if not Path(who).is_dir():
        for plugin in (remover(who, catalog), catalog.detector()):
            for one in weights(plugin):
                fetch_asset(catalog.asset(one.name))


class Compared(NamedTuple):
    """What the new release's networks gained on the test pictures of either release, and how many were left out."""

    contests: tuple[Contest, ...]
    left_out: tuple[str, ...]


@flow(name="compare", validate_parameters=False, persist_result=False)
def compare(
    old: Path,
    new: Path,
    how: "Training",
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
        release: [train.fn(release, one, catalog, models(settings) / name_of(release, one), device).folder for one in courses]
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
        found: dict[Path, list[Any]] = {}
        for taught, some in folders.items():
            places = {one: where / f"{one.name}-on-{release.resolve().name}" for one in some}
            found[taught] = [
                score(str(one), release, settings, place, ("test",), None, device, known) for one, place in places.items()
            ]
        old_rows, new_rows = ([one.rows for one in found[taught]] for taught in (old, new))
        on = f"the test split of {release.resolve().name}"
        contests.append(contest(names, on, old_rows, new_rows, found[old][0].names, where / f"on-{release.resolve().name}"))
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
        See `figureground.training.loop.Training`.

    Raises
    ------
    ReleaseError
        When the folder is no release that can be read.
    """
    places = sample_cache.opened(release, classes).places()
    return sum(count for (_, split), count in places.items() if split == "train")


def _places(release: Path, how: "Training") -> Any:
    return sample_cache.opened(release, how.classes).places()


@flow(name="compare-removers", validate_parameters=False, persist_result=False)
def compare_answers(
    old: str,
    new: str,
    release: Path,
    catalog: str = "data_catalog.yaml",
    into: Path | None = None,
    splits: Sequence[Split] = ("test",),
    classes: int | None = None,
    device: Device = "auto",
) -> Contest:
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
    for who in (old, new):
        _fetch(who, settings)  # both, so that a slip in the second is told before the first has been asked for minutes
    found: list[Evaluation] = []
    for who in (old, new):
        place = (into / ("new" if found else "old")) if into else _place(settings, who, release)
        found.append(score(who, release, settings, place, splits, wanted, device))
    names = (found[0].who, found[1].who)
    where = into or Store(settings.storage_root).path(f"evaluations/{names[0]}-to-{names[1]}-on-{release.resolve().name}")
    on = f"{', '.join(splits) or 'all'} of {found[0].release}"
    return contest(names, on, [found[0].rows], [found[1].rows], found[0].names, where)


def _classes(who: str) -> int:
    return checkpoints.read(Path(who)).classes if (Path(who) / checkpoints.CARD).is_file() else 1
