"""People and backgrounds of train and val kept apart, by source and by what looks alike, and the certificate that they are.

A source stands for everything that came from one place: the footage of a release, a folder, pictures of one name. Sources that
hold pictures alike go together, people with people, backgrounds with backgrounds and real pictures.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from figureground.datasets import splits
from figureground.datasets.splits import Split
from figureground.similarity import duplicates
from figureground.similarity.duplicates import SIMILARITY_AT_LEAST, Signature

FILE = "certificate.json"


class Input(NamedTuple):
    """One picture that goes in: its id, its source, what kind it is (people, backgrounds or real) and how it looks."""

    name: str
    source: str
    kind: str
    signature: Signature


def assign_splits(
    inputs: Sequence[Input], fixed: Mapping[str, Split], val: float
) -> tuple[dict[str, Split], list[tuple[str, ...]]]:
    """Give every source its split.

    Parameters
    ----------
    inputs
        Everything that goes in.
    fixed
        Where earlier releases or the catalog put a source; with those it is like, the most held-out wins.
    val
        The share of the sources that goes to val, 0 to below 1. Train, and when it is above 0 then val, get people and
        backgrounds even when they are few: train the cluster lowest on the ruler of `figureground.datasets.splits`, val the
        highest.

    Returns
    -------
    tuple
        Source to split, and the clusters of more than one source.
    """
    clusters = duplicates.cluster({item.source for item in inputs}, _pairs(inputs))
    assigned: dict[str, Split] = {}
    for cluster in clusters:
        entries = [fixed[name] for name in cluster if name in fixed]
        drawn: Split = "val" if max(map(splits.position, cluster)) >= 1 - val else "train"
        assigned.update(dict.fromkeys(cluster, splits.most_held_out(entries) if entries else drawn))
    for kind in ("people", "backgrounds"):
        own = {item.source for item in inputs if item.kind == kind}
        mine = sorted((item for item in clusters if own & set(item)), key=lambda item: max(map(splits.position, item)))
        _fill(assigned, mine, fixed, "train")
        if val and sum(assigned[cluster[0]] == "train" for cluster in mine) > 1:
            _fill(assigned, mine[::-1], fixed, "val")
    return assigned, [cluster for cluster in clusters if len(cluster) > 1]


def _fill(assigned: dict[str, Split], clusters: Sequence[Sequence[str]], fixed: Mapping[str, Split], split: Split) -> None:
    """Move the first cluster that nobody fixed into a split that has none of them."""
    if any(assigned[cluster[0]] == split for cluster in clusters):
        return
    free = [cluster for cluster in clusters if assigned[cluster[0]] != "test" and not set(cluster) & set(fixed)]
    assigned.update(dict.fromkeys(free[0] if free else (), split))


def _pairs(inputs: Iterable[Input]) -> list[tuple[str, str]]:
    groups: dict[str, dict[str, list[Signature]]] = defaultdict(lambda: defaultdict(list))
    for item in inputs:
        groups["people" if item.kind == "people" else "scenes"][item.source].append(item.signature)
    return [pair for members in groups.values() for pair in duplicates.find_similar_groups(members)]


def split_of(number: int, val: float) -> tuple[Split, int]:
    """Give a picture's split and how many of that split come before it: the same however many pictures there are.

    Examples
    --------
    >>> [split_of(number, 0.25)[0] for number in range(8)]
    ['train', 'train', 'train', 'val', 'train', 'train', 'train', 'val']
    """
    before = _share(number, val)
    return ("val", before) if _share(number + 1, val) > before else ("train", number - before)


def order_in_split(position: int, real_share: float, real: int) -> tuple[bool, int]:
    """Tell whether a split's picture is a real one, and how many of its kind come before it.

    Parameters
    ----------
    position
        How many pictures of the split come before it.
    real_share
        How many of all should be real, 0..1.
    real
        How many real ones there are: each is used once.
    """
    before = min(real, _share(position, real_share))
    after = min(real, _share(position + 1, real_share))
    return (True, before) if after > before else (False, position - before)


def _share(number: int, share: float) -> int:
    return math.floor(number * share + 1e-9)


def make_certificate(inputs: Sequence[Input], assigned: Mapping[str, Split], joined: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Make the certificate: what is in which split, how each looks, and how close the closest of two splits are."""
    entries = {
        kind: {
            item.name: {
                "source": item.source,
                "split": assigned[item.source],
                "signature": duplicates.pack(item.signature).hex(),
            }
            for item in sorted(inputs, key=lambda item: item.name)
            if item.kind == kind
        }
        for kind in sorted({item.kind for item in inputs})
    }
    return {
        "alike_at_least": SIMILARITY_AT_LEAST,
        "sources_kept_together": [list(cluster) for cluster in joined],
        "inputs": entries,
        "closest": _closest(entries),
        "recheck": "run `figureground verify` on this folder: it compares all inputs of two splits again",
    }


def _closest(entries: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[dict[str, Any]]:
    rows = []
    for kind, members in sorted(entries.items()):
        for item, other in combinations(splits.SPLITS, 2):
            names = [[name for name, entry in sorted(members.items()) if entry["split"] == split] for split in (item, other)]
            pair = duplicates.find_closest(*([bytes.fromhex(members[name]["signature"]) for name in own] for own in names))
            if pair:
                rows.append(
                    {
                        "kind": kind,
                        "splits": [item, other],
                        "pictures": [names[0][pair.first], names[1][pair.second]],
                        "similarity": round(pair.similarity, 4),
                        "mirrored": pair.mirrored,
                    }
                )
    return rows


def render(certificate: Mapping[str, Any]) -> bytes:
    """Give the bytes of ``certificate.json``."""
    return (json.dumps(certificate, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def find_problems(certificate: Mapping[str, Any], used: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Check the certificate's claims again.

    Parameters
    ----------
    certificate
        See `make_certificate`.
    used
        Kind to the name of each input that some picture shows, to the split of that picture.

    Returns
    -------
    list of str
        Each source, input or look that two splits share, and each claim that does not hold.
    """
    problems, entries = [], certificate["inputs"]
    splits_of: dict[str, set[str]] = defaultdict(set)
    for members in entries.values():
        for entry in members.values():
            splits_of[entry["source"]].add(entry["split"])
    problems += [
        f"source {name} is in {' and '.join(sorted(where))}" for name, where in sorted(splits_of.items()) if len(where) > 1
    ]
    for kind, names in sorted(used.items()):
        for name, split in sorted(names.items()):
            entry = entries.get(kind, {}).get(name)
            if entry is None or entry["split"] != split:
                assigned = entry["split"] if entry else "no split"
                problems.append(f"{kind} {name} is shown in {split}; the certificate has it in {assigned}")
    closest = _closest(entries)
    if closest != certificate["closest"]:
        problems.append("the certificate's closest pictures are not those of its signatures")
    for row in closest:
        if row["similarity"] >= SIMILARITY_AT_LEAST:
            item, other = row["pictures"]
            where = " and ".join(row["splits"])
            problems.append(f"{row['kind']} {item} and {other} look alike ({row['similarity']}) and are in {where}")
    return problems
