"""What differs between the manifests of two releases."""

from figureground.datasets.manifest.records import Manifest
from figureground.datasets.manifest.sealing import to_json

_COMPARED = {"re-annotated": "annotation", "re-cropped": "sha256", "moved": "split", "relisted": "scenes"}
"""Kind of change to the field of `SampleRecord` that differs."""


def compare_samples(old: Manifest, new: Manifest) -> dict[str, tuple[str, ...]]:
    """Compare two releases, sample by sample.

    Returns
    -------
    dict
        ``added``, ``dropped``, ``re-annotated`` (another label for the same sample id), ``re-cropped`` (another image for the
        same sample id), ``moved`` (to another split), ``relisted`` (in other scenes), each with its sample ids, sorted.
    """
    before, after = old.samples, new.samples
    changes: dict[str, list[str]] = {
        "added": sorted(after.keys() - before.keys()),
        "dropped": sorted(before.keys() - after.keys()),
        **{change: [] for change in _COMPARED},
    }
    for sample_id in sorted(before.keys() & after.keys()):
        was, now = before[sample_id], after[sample_id]
        for change, name in _COMPARED.items():
            if getattr(was, name) != getattr(now, name):
                changes[change].append(sample_id)
    return {change: tuple(sample_ids) for change, sample_ids in changes.items()}


def have_same_samples(old: Manifest, new: Manifest) -> bool:
    """Tell whether two releases hold equal sample records; only one record of each release is in memory at a time."""
    return len(old.samples) == len(new.samples) and not _differing_samples(old, new)


def describe_changes(old: Manifest, new: Manifest, at_most: int = 5) -> list[str]:
    """Say in lines what differs between two manifests, with at most so many sample ids a line; [] when nothing differs."""
    lines = [
        f"{change}: {len(sample_ids)} ({', '.join(sample_ids[:at_most])}{', …' if len(sample_ids) > at_most else ''})"
        for change, sample_ids in compare_samples(old, new).items()
        if sample_ids
    ]
    was, now = (manifest.model_dump(mode="json", exclude={"samples", "files", "digest", "counts"}) for manifest in (old, new))
    lines += [f"{key}: {to_json(was[key])} there, {to_json(now[key])} now" for key in sorted(was) if was[key] != now[key]]
    if not lines and not have_same_samples(old, new):
        lines.append("where samples come from: " + ", ".join(_differing_samples(old, new)[:at_most]))
    return lines


def _differing_samples(old: Manifest, new: Manifest) -> list[str]:
    return [sample_id for sample_id in sorted(old.samples) if old.samples[sample_id] != new.samples.get(sample_id)]
