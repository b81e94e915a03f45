"""Which pictures look alike."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from figureground.errors import ArrayError
from figureground.similarity import duplicates


def picture(seed: int, width: int = 200, height: int = 300) -> np.ndarray:
    """Soft spots, which is what photos are to a perceptual hash."""
    noise = np.random.default_rng(seed).normal(size=(height // 10, width // 10, 3))
    spots = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.normalize(spots, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    return bytes(cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def similarity(one: bytes, other: bytes) -> float:
    found = duplicates.find_closest([duplicates.compute_jpeg_signature(one)], [duplicates.compute_jpeg_signature(other)])
    assert found is not None
    return found.similarity


CHANGES = {
    "quality 30": lambda image: jpeg(image, 30),
    "half": lambda image: jpeg(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), 60),
    "three times": lambda image: jpeg(cv2.resize(image, None, fx=3, fy=3)),
    "mirrored": lambda image: jpeg(np.ascontiguousarray(image[:, ::-1])),
    "brighter": lambda image: jpeg(np.clip(image * 1.1 + 8, 0, 255).astype(np.uint8)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_similar(change: str) -> None:
    assert min(similarity(jpeg(picture(seed)), CHANGES[change](picture(seed))) for seed in range(8)) > 0.9


def test_other_images_are_not_similar() -> None:
    signatures = [duplicates.compute_jpeg_signature(jpeg(picture(seed))) for seed in range(60)]
    assert list(duplicates.find_similar(signatures[:30], signatures[30:])) == []
    found = duplicates.find_closest(signatures[:30], signatures[30:])
    assert found is not None and 0.5 < found.similarity < 0.7


def test_the_closest_pair_is_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_ROWS", 4)
    monkeypatch.setattr(duplicates, "_COLUMNS", 1)
    signatures = [duplicates.compute_signature(picture(seed)) for seed in range(20)]
    turned = duplicates.compute_signature(np.ascontiguousarray(picture(9)[:, ::-1]))
    found = duplicates.find_closest(signatures, [signatures[0] * -1, turned])
    assert found is not None and (found.first, found.second, found.mirrored) == (9, 1, True)
    assert [(pair.first, pair.second) for pair in duplicates.find_similar(signatures, [turned])] == [(9, 0)]
    assert duplicates.find_closest([], signatures) is None


def test_groups_that_hold_a_copy_are_found_with_their_closest_pair() -> None:
    signatures = [duplicates.compute_signature(picture(seed)) for seed in range(6)]
    found = duplicates.find_similar_groups({"b": signatures[:3], "a": [signatures[5], signatures[1]], "c": signatures[3:5]})
    assert list(found) == [("a", "b")]
    assert found["a", "b"] == duplicates.Pair(1, 1, 1.0, False)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", jpeg(picture(1))[:300]])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(ArrayError):
        duplicates.compute_jpeg_signature(content)


def test_the_bits_of_a_packed_signature_never_change() -> None:
    """Frozen: tables and the certificates of compositions hold these bits."""
    signs = np.where(np.random.default_rng(5).random(256) < 0.5, 1, -1).astype(np.int8)
    signs[0] = 0
    assert duplicates.pack(signs) == bytes.fromhex("1f98d52576b1aa4696812bc572d7e6507f38a87aa148fd71d7bf12a4d7f76d9c")
    assert np.array_equal(duplicates.unpack(duplicates.pack(signs)), signs)


def test_every_pair_is_as_similar_as_its_signs_say_straight_or_mirrored() -> None:
    signs = np.where(np.random.default_rng(4).random((30, 256)) < 0.5, 1, -1).astype(np.int8)
    signs[:, 0] = 0
    signs[20:] = signs[:10] * np.tile([1, -1], 128).astype(np.int8)
    left, right = signs[:15], signs[15:]
    straight = left.astype(int) @ right.astype(int).T
    mirrored = left.astype(int) @ (right * np.tile([1, -1], 128)).astype(int).T
    expected = {
        (at, beside): (
            duplicates.compute_similarities(left[at : at + 1], right[beside : beside + 1])[0, 0],
            bool(flipped > plain),
        )
        for (at, beside), plain in np.ndenumerate(straight)
        for flipped in [mirrored[at, beside]]
    }
    for some, others in ((list(left), list(right)), ([*map(duplicates.pack, left)], [*map(duplicates.pack, right)])):
        found = {
            (pair.first, pair.second): (pair.similarity, pair.mirrored) for pair in duplicates.find_similar(some, others, 0)
        }
        assert found == expected


def test_packed_signatures_compare_as_they_did() -> None:
    signs = np.where(np.random.default_rng(3).random((40, 256)) < 0.5, 1, -1).astype(np.int8)
    signs[:, 0] = 0
    packed = [duplicates.pack(one) for one in signs]
    assert duplicates.compare(packed[:9], packed[9:], 0.55) == duplicates.compare(list(signs[:9]), list(signs[9:]), 0.55)
    straight = signs[:9].astype(int) @ signs[9:].astype(int).T
    mirrored = signs[:9].astype(int) @ (signs[9:] * np.tile([1, -1], 128)).astype(int).T
    found = duplicates.find_closest(packed[:9], packed[9:])
    assert found is not None and found.similarity == pytest.approx((np.maximum(straight, mirrored).max() + 255) / 510, abs=1e-6)


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_clusters_are_the_connected_components(count: int, drawn: list[tuple[int, int]]) -> None:
    names = [f"clip-{number:02d}" for number in range(count)]
    pairs = [(one % count, other % count) for one, other in drawn]
    graph = coo_array((np.ones(len(pairs)), ([one for one, _ in pairs], [other for _, other in pairs])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    expected = sorted(tuple(np.array(names)[labels == label]) for label in set(labels))
    assert duplicates.cluster(names, [(names[one], names[other]) for one, other in pairs]) == expected


def test_a_long_chain_is_one_cluster_in_no_time() -> None:
    """Merging sets took quadratic time: minutes for this chain."""
    names = [f"clip-{number:05d}" for number in np.random.default_rng(1).permutation(20_000)]
    assert duplicates.cluster(names, pairwise(names)) == [tuple(sorted(names))]
