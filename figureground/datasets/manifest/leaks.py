"""What two splits of a release share although they must share nothing: a source, a video, an image."""

from collections import defaultdict
from collections.abc import Mapping

from figureground.datasets.manifest.records import Manifest
from figureground.datasets.manifest.sealing import FileHashes
from figureground.datasets.splits import SPLITS, Split


def find_leaks(manifest: Manifest, files: FileHashes) -> list[str]:
    """Name everything that two splits share: a source, a video under the names of two sources, an image.

    Parameters
    ----------
    manifest
        The source and the split of each sample.
    files
        The files as they are: images are compared by their bytes.
    """
    splits = _source_splits(manifest)
    return [*_shared_sources(splits), *_shared_videos(manifest, splits), *_shared_images(files)]


def split_of_file(name: str) -> str:
    """Give the split whose folder a file lies in, "" when it lies in none.

    >>> split_of_file("img_dir/val/park-000120-00.jpg"), split_of_file("val.txt")
    ('val', '')
    """
    return next((part for part in name.split("/")[:-1] if part in SPLITS), "")


def _source_splits(manifest: Manifest) -> dict[str, dict[Split, str]]:
    """Give for each source its splits, each with its first sample id."""
    splits: dict[str, dict[Split, str]] = defaultdict(dict)
    for sample_id in sorted(manifest.samples):
        sample = manifest.samples[sample_id]
        splits[sample.source].setdefault(sample.split, sample_id)
    return dict(splits)


def _shared_sources(splits: Mapping[str, Mapping[Split, str]]) -> list[str]:
    return [
        f"source {source_id} is shared between " + " and ".join(f"{split} ({first})" for split, first in sorted(own.items()))
        for source_id, own in sorted(splits.items())
        if len(own) > 1
    ]


def _shared_videos(manifest: Manifest, splits: Mapping[str, Mapping[Split, str]]) -> list[str]:
    videos: dict[str, dict[str, str]] = defaultdict(dict)
    for source_id, own in sorted(splits.items()):
        record = manifest.sources.get(source_id)
        for split in own if record else ():
            videos[record.sha256 if record else ""].setdefault(split, source_id)
    return [
        "the same video is in two splits: " + " and ".join(f"{split} (source {name})" for split, name in sorted(own.items()))
        for _, own in sorted(videos.items())
        if len(own) > 1 and len(set(own.values())) > 1
    ]


def _shared_images(hashes: FileHashes) -> list[str]:
    shared: dict[str, dict[str, str]] = {}
    seen: dict[str, str] = {}
    for name in sorted(hashes):
        split, (sha256, _) = split_of_file(name), hashes[name]
        if split and name.endswith(".jpg") and seen.setdefault(sha256, split) != split:
            shared[sha256] = {}
    for name in sorted(hashes) if shared else ():
        sha256, _ = hashes[name]
        if sha256 in shared and name.endswith(".jpg") and (split := split_of_file(name)):
            shared[sha256].setdefault(split, name)
    return ["the same image is in two splits: " + " and ".join(sorted(files.values())) for _, files in sorted(shared.items())]
