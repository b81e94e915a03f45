"""Which split a source goes to: whole sources only, so train and test never share footage.

A split that the catalog sets wins. Otherwise a hash of the source's id gives it a position from 0 to 1: the lowest positions
are test, the highest are val, those between are train. A source's position depends only on its own id: adding or removing other
sources moves no source, and changing one share moves no source between test and val.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from figureground.errors import ReleaseError
from figureground.types import Source

Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
"""The later, the more held out."""
_NUMBERS = re.compile(r"(-\d+[a-z]?)+$")


def most_held_out(splits: Iterable[Split]) -> Split:
    """Give the most held-out of some splits: test before val before train.

    >>> most_held_out(["train", "test", "val"])
    'test'
    """
    return max(splits, key=SPLITS.index)


def most_held_out_by_source(source_splits: Iterable[tuple[str, Split]]) -> dict[str, Split]:
    """Give for each source the most held-out split that it is named with.

    >>> most_held_out_by_source([("park", "train"), ("walk", "val"), ("park", "val")])
    {'park': 'val', 'walk': 'val'}
    """
    chosen: dict[str, Split] = {}
    for source_id, split in source_splits:
        chosen[source_id] = most_held_out((split, chosen.get(source_id, split)))
    return chosen


def source_of(sample_id: str, folder: str = "") -> str:
    """Name the source of an image that no manifest lists: its top folder, or its name without the numbers at the end.

    Parameters
    ----------
    sample_id
        The file's name without its suffix.
    folder
        Where the file lies below the folder that was given, "" for that folder itself.

    Examples
    --------
    >>> source_of("park-000120-00"), source_of("dancer-000040l"), source_of("IMG_0012"), source_of("7", "alice/left")
    ('park', 'dancer', 'IMG_0012', 'alice')
    """
    return folder.split("/")[0] if folder else _NUMBERS.sub("", sample_id) or sample_id


def position(source_id: str) -> float:
    """Give a source's position, 0 <= position < 1.

    >>> round(position("park"), 3), round(position("walk"), 3)
    (0.302, 0.478)
    """
    return int.from_bytes(hashlib.sha256(source_id.encode()).digest()[:6]) / 2**48


def assign(sources: Iterable[Source], val: float, test: float) -> dict[str, Split]:
    """Give every source its split.

    Parameters
    ----------
    sources
        Their order does not matter.
    val, test
        The shares of the sources that go to val and test, each 0..1 and together below 1.

    Returns
    -------
    dict
        Source id to split.

    Raises
    ------
    ReleaseError
        When the shares leave nothing for train.
    """
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise ReleaseError(f"releases.val {val} and releases.test {test}: expected shares of 0 or more, together below 1")
    return {source.source_id: _split(source, val, test) for source in sources}


def _split(source: Source, val: float, test: float) -> Split:
    if source.split != "auto":
        return source.split
    drawn = position(source.source_id)
    if drawn < test:
        return "test"
    return "val" if drawn >= 1 - val else "train"


def join_similar(
    assigned: Mapping[str, Split], fixed: Iterable[Source], clusters: Iterable[Sequence[str]]
) -> dict[str, Split]:
    """Put sources with near-duplicate images into one split: the most held-out of theirs, so no source leaves test.

    Parameters
    ----------
    assigned
        What `assign` gave.
    fixed
        All sources; those whose split the catalog sets are not moved.
    clusters
        Groups of source ids, see `figureground.datasets.release_plan.find_similar_sources`.

    Raises
    ------
    ReleaseError
        When the catalog sets another split for a source of a group.
    """
    chosen = {source.source_id for source in fixed if source.split != "auto"}
    moved = dict(assigned)
    for cluster in clusters:
        goal = most_held_out(assigned[source_id] for source_id in cluster)
        for source_id in cluster:
            if assigned[source_id] != goal and source_id in chosen:
                others = ", ".join(f"{name} in {assigned[name]}" for name in cluster if assigned[name] == goal)
                raise ReleaseError(
                    f"source {source_id} is set to {assigned[source_id]} but holds images nearly the same as {others}. "
                    f"Set `split: {goal}` on {source_id} in the catalog, or leave one of them out"
                )
            moved[source_id] = goal
    return moved


def keep_held_out(assigned: Mapping[str, Split], fixed: Iterable[Source], earlier: Mapping[str, Split]) -> dict[str, Split]:
    """Keep sources held out that an earlier release held out: no source goes from test to train, whatever changed since.

    Parameters
    ----------
    assigned
        What `assign` gave.
    fixed
        All sources; those whose split the catalog sets are not moved.
    earlier
        Source to the most held-out split that a release had it in; sources that are in no release may be left out.
    """
    chosen = {source.source_id for source in fixed if source.split != "auto"}
    return {
        source_id: split if source_id in chosen else most_held_out((split, earlier.get(source_id, split)))
        for source_id, split in assigned.items()
    }


def require_all(images: Mapping[str, int], assigned: Mapping[str, Split], val: float, test: float) -> None:
    """Refuse a release without images in train, or in val or test where their share is above 0.

    Parameters
    ----------
    images
        Source id to its number of images; sources without any may be left out.
    assigned
        What `assign` gave.
    val, test
        The shares that were asked for.

    Raises
    ------
    ReleaseError
        The message names the source whose split should be set.
    """
    counts = {source_id: count for source_id, count in sorted(images.items()) if count}
    shares: dict[Split, float] = {"train": 1.0, "val": val, "test": test}
    filled = {assigned[source_id] for source_id in counts}
    for split in SPLITS:
        if shares[split] > 0 and split not in filled:
            raise ReleaseError(_missing(split, counts, assigned))


def _missing(split: Split, counts: Mapping[str, int], assigned: Mapping[str, Split]) -> str:
    listed = ", ".join(f"{source_id} ({count}) in {assigned[source_id]}" for source_id, count in counts.items())
    way_out = "" if split == "train" else f", or set `{split}: 0` under `releases:` for a release without {split}"
    donors = _donors(split, counts, assigned)
    if not donors:
        return (
            f"the release would have no {split} image: sources with kept labels are {listed}, and a source is never divided. "
            f"Label another source{way_out}"
        )
    best = max(donors, key=lambda name: counts[name]) if split == "train" else min(donors, key=lambda name: counts[name])
    return (
        f"the release would have no {split} image: sources with kept labels are {listed}. "
        f"Set `split: {split}` on the source {best} in the catalog{way_out}"
    )


def _donors(split: Split, counts: Mapping[str, int], assigned: Mapping[str, Split]) -> list[str]:
    """List the sources that could move without emptying train or leaving their own split empty."""
    per_split = {other: [name for name in counts if assigned[name] == other] for other in SPLITS}
    spare = [name for names in per_split.values() if len(names) > 1 for name in names]
    return spare if split != "train" else spare or (list(counts) if len(counts) > 1 else [])
