"""The leak certificate: for each two splits, what they share (nothing) and how close their closest images are.

It can be checked from the release's files alone: `figureground verify` does.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import cv2
import numpy as np

from figureground import documents
from figureground.datasets.manifest import Manifest
from figureground.datasets.splits import SPLITS
from figureground.errors import ReleaseError
from figureground.imaging import codecs
from figureground.similarity import duplicates
from figureground.similarity.duplicates import SIMILARITY_AT_LEAST, AnySignature, Pair

FILE = "certificate.json"
FOLDER = "certificate"
TOLERANCE = 0.02
"""How much a similarity may differ with another JPEG decoder: five signs of 255."""
_METHOD = (
    "similarity is the share of equal signs of the 16x16 lowest cosine coefficients (without the mean) of both pictures "
    "as 64x64 gray; the better of straight and mirrored"
)
_RECHECK = "run `figureground verify` on this folder: it computes all of this from the pictures and compares"
_THUMBNAIL = 160


def build(manifest: Manifest, signatures: Mapping[str, AnySignature], similar: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Make the certificate.

    Parameters
    ----------
    manifest
        Which sample of which source is in which split.
    signatures
        Sample id to signature, all samples.
    similar
        Clusters of sources that were put into one split because they hold near-duplicate images.
    """
    sample_ids: dict[str, list[str]] = defaultdict(list)
    for sample_id, sample in sorted(manifest.samples.items()):
        sample_ids[sample.split].append(sample_id)
    present = [split for split in SPLITS if sample_ids[split]]
    return {
        "method": _METHOD,
        "alike_at_least": SIMILARITY_AT_LEAST,
        "sources_kept_together": [list(cluster) for cluster in similar],
        "pairs": [_pair(manifest, first, second, sample_ids, signatures) for first, second in combinations(present, 2)],
        "recheck": _RECHECK,
    }


def _pair(
    manifest: Manifest, first: str, second: str, sample_ids: Mapping[str, Sequence[str]], signatures: Mapping[str, AnySignature]
) -> dict[str, Any]:
    closest = duplicates.find_closest(
        *([signatures[sample_id] for sample_id in sample_ids[split]] for split in (first, second))
    )
    if closest is None:
        raise ReleaseError(f"the splits {first} and {second} have no images to compare")
    sources = [{manifest.samples[sample_id].source for sample_id in sample_ids[split]} for split in (first, second)]
    videos = [{manifest.sources[name].sha256 for name in names} for names in sources]
    return {
        "splits": [first, second],
        "shared_sources": sorted(sources[0] & sources[1]),
        "shared_videos": sorted(videos[0] & videos[1]),
        "closest": [sample_ids[first][closest.first], sample_ids[second][closest.second]],
        "similarity": round(closest.similarity, 4),
        "mirrored": closest.mirrored,
        "thumbnail": f"{FOLDER}/{first}-{second}.jpg",
    }


def to_bytes(certificate: Mapping[str, Any]) -> bytes:
    """Give the bytes of ``certificate.json``."""
    return (json.dumps(certificate, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def thumbnail(left: bytes, right: bytes) -> bytes:
    """Lay two JPEG images side by side, at one height; a JPEG."""
    return bytes(cv2.imencode(".jpg", np.hstack([_small(left), _small(right)]), [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


def _small(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = codecs.decode_bgr(content)
    if image is None:
        raise ReleaseError("an image of the release cannot be decoded")
    width = max(1, round(image.shape[1] * _THUMBNAIL / image.shape[0]))
    return np.asarray(cv2.resize(image, (width, _THUMBNAIL), interpolation=cv2.INTER_AREA), np.uint8)


def check(content: bytes, images: Mapping[str, Mapping[str, AnySignature]]) -> list[str]:
    """Check the certificate's claims against the images.

    Parameters
    ----------
    content
        ``certificate.json``.
    images
        Split to file name to signature, computed from the files as they are.

    Returns
    -------
    list of str
        One message for each near-duplicate pair in two splits, and for each similarity that is not the claimed one.
    """
    try:
        claimed = {tuple(pair["splits"]): float(pair["similarity"]) for pair in documents.parse_json(content)["pairs"]}
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        return [f"{FILE}: not readable: {type(error).__name__}: {error}"]
    present = [split for split in SPLITS if images.get(split)]
    problems = []
    for first, second in combinations(present, 2):
        closest, pairs = duplicates.compare(list(images[first].values()), list(images[second].values()))
        problems += _describe_similar(list(images[first]), list(images[second]), pairs)
        claim = claimed.get((first, second))
        if closest and (claim is None or abs(closest.similarity - claim) > TOLERANCE):
            actual = f"the files give {closest.similarity:.4f}"
            problems.append(f"{FILE}: claims {claim} for the closest of {first} and {second}; {actual}")
    return problems


def _describe_similar(some: Sequence[str], others: Sequence[str], pairs: Sequence[Pair], at_most: int = 20) -> list[str]:
    problems = [
        f"nearly the same image is in two splits: {some[pair.first]} and {others[pair.second]} "
        f"(similarity {pair.similarity:.3f}{', mirrored' if pair.mirrored else ''}; expected below {SIMILARITY_AT_LEAST})"
        for pair in pairs[:at_most]
    ]
    return problems + ([f"… and {len(pairs) - at_most} more such pairs"] if len(pairs) > at_most else [])
