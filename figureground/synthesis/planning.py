"""Which composites are made, from which inputs, and in which split: decided before the first image is made."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

from figureground import rng
from figureground.datasets.splits import Split
from figureground.similarity import duplicates
from figureground.synthesis import composite_splits
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.composite_splits import Input
from figureground.synthesis.placement import Subject
from figureground.synthesis.synthesize import Background, Person, Pool
from figureground.tables import BackgroundRow, PersonRow

SPLITS: tuple[Split, ...] = ("train", "val")
"""The splits of a composition."""

People = Sequence[PersonRow]
Backgrounds = Sequence[BackgroundRow]


class Job(NamedTuple):
    """One image: its number, its split, whether it is a real one, and how many of its kind and split come before it."""

    number: int
    split: Split
    real: bool
    turn: int

    @property
    def sample_id(self) -> str:
        """The image's id: its number in six digits."""
        return f"{self.number:06d}"


def list_inputs(people: People, backgrounds: Backgrounds) -> list[Input]:
    """List usable people and backgrounds as inputs that splits keep apart.

    Parameters
    ----------
    people, backgrounds
        Rows of the tables ``people`` and ``backgrounds`` without a reason to reject them.
    """
    cutouts = [Input(row.person_id, row.origin, "people", duplicates.unpack(row.signature)) for row in people]
    return cutouts + [
        Input(row.background_id, row.origin, "backgrounds", duplicates.unpack(row.signature)) for row in backgrounds
    ]


def make_pool(people: People, backgrounds: Backgrounds, assigned: Mapping[str, Split], split: Split) -> Pool:
    """Collect the people and backgrounds of a split.

    Parameters
    ----------
    people, backgrounds
        Usable rows.
    assigned
        Source to split.
    split
        The pool's.
    """
    return Pool(
        tuple(
            Person(Subject(row.person_id, row.width, row.height, row.sides), row.origin, row.file, row.sha256)
            for row in people
            if assigned[row.origin] == split
        ),
        tuple(
            Background(
                row.background_id,
                row.origin,
                Size(row.width, row.height),
                row.file,
                row.sha256,
                None if isnan(row.horizon) else row.horizon,
            )
            for row in backgrounds
            if assigned[row.origin] == split
        ),
    )


def shuffle_names(names: Sequence[str], seed: int, split: str) -> tuple[str, ...]:
    """Give names in the order in which real pairs are used: the same for the same names, seed and split."""
    ordered = sorted(names)
    return tuple(ordered[at] for at in rng.shuffle_indices(len(ordered), seed, "real", split))


def plan_jobs(
    images: int, val: float, real_share: float, pools: Mapping[Split, Pool], real: Mapping[Split, Sequence[str]]
) -> tuple[list[Job], list[str]]:
    """Plan every image that can be made, and say in words which cannot.

    Parameters
    ----------
    images
        How many are asked for.
    val, real_share
        The share of val, and of real pairs, 0 to 1.
    pools
        The inputs of each split.
    real
        The names of the real pairs of each split.
    """
    jobs, missing = [], dict.fromkeys(pools, 0)
    for number in range(images):
        split, position = composite_splits.split_of(number, val)
        is_real, turn = composite_splits.order_in_split(position, real_share, len(real[split]))
        if is_real or (pools[split].people and pools[split].backgrounds):
            jobs.append(Job(number, split, is_real, turn))
        else:
            missing[split] += 1
    lacking = []
    for split, count in missing.items():
        empty = {"people": not pools[split].people, "backgrounds": not pools[split].backgrounds}
        kinds = [kind for kind, is_empty in empty.items() if is_empty]
        if count and kinds:
            lacking.append(f"{split} has no {' and no '.join(kinds)}: {count} of its images cannot be made")
    wanted = sum(composite_splits.order_in_split(at, real_share, images)[0] for at in range(images))
    if (planned := sum(job.real for job in jobs)) < wanted * 0.98 - 2:
        lacking.append(f"real_share asks for about {wanted} real pairs; there are {planned}")
    return jobs, lacking


def summarise_rejections(rows: Mapping[str, People | Backgrounds]) -> str:
    """Say how many of each kind were rejected for which reason."""
    sentences = []
    for stage, inputs in rows.items():
        reasons = Counter(row.reason.partition(":")[0] for row in inputs if row.reason)
        listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        sentences.append(f"Of {len(inputs)} {stage} {reasons.total()} were rejected" + (f" ({listed})" if listed else ""))
    hint = "Add some, or loosen the limits: the tables people and backgrounds say why each was rejected"
    return "; ".join(sentences) + f". {hint}"
