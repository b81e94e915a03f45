"""Train and val share no source and nothing that looks alike, and the certificate says so truly."""

import copy
from pathlib import Path

import numpy as np
import pytest

from figureground import rng
from figureground.datasets import splits
from figureground.errors import ReleaseError
from figureground.similarity import duplicates
from figureground.synthesis import composite_splits, composition_manifest
from figureground.synthesis.composite_splits import Input


def look(seed: int) -> np.ndarray:
    signs = np.where(rng.make_generator(seed).random(256) < 0.5, -1, 1).astype(np.int8)
    signs[0] = 0
    return signs


def inputs() -> list[Input]:
    kinds = (("people", "abcdef", 0), ("backgrounds", "uvwxyz", 100))
    return [
        Input(f"{name}-{at}", name, kind, look(first + 10 * number + at))
        for kind, names, first in kinds
        for number, name in enumerate(names)
        for at in range(2)
    ]


def test_every_kind_gets_val_when_asked() -> None:
    found, joined = composite_splits.assign_splits(inputs(), {}, 0.01)
    for names in ("abcdef", "uvwxyz"):
        assert [found[name] for name in names].count("val") == 1
        assert found[max(names, key=splits.position)] == "val"
    assert joined == []
    assert set(composite_splits.assign_splits(inputs(), {}, 0.0)[0].values()) == {"train"}


def test_what_looks_alike_goes_together_into_the_most_held_out() -> None:
    some = [*inputs(), Input("copy", "a2", "people", look(0)), Input("w-9", "w", "backgrounds", look(100))]
    found, joined = composite_splits.assign_splits(some, {"a": "val", "u": "test"}, 0.1)
    assert joined == [("a", "a2"), ("u", "w")]
    assert (found["a2"], found["w"]) == ("val", "test")


def test_people_and_backgrounds_of_one_source_go_together() -> None:
    some = [*inputs(), Input("park-1", "a", "backgrounds", look(500))]
    found, _ = composite_splits.assign_splits(some, {"a": "val"}, 0.1)
    assert (
        composite_splits.find_problems(composite_splits.make_certificate(some, found, []), {"backgrounds": {"park-1": "val"}})
        == []
    )


def test_the_certificate_holds_and_false_claims_are_found() -> None:
    found, joined = composite_splits.assign_splits(inputs(), {}, 0.2)
    proof = composite_splits.make_certificate(inputs(), found, joined)
    used = {"people": {"a-0": found["a"]}, "backgrounds": {"u-1": found["u"]}}
    assert composite_splits.find_problems(proof, used) == []
    assert all(0.3 < row["similarity"] < 0.75 for row in proof["closest"]) and len(proof["closest"]) == 2
    other = "val" if found["a"] == "train" else "train"
    assert any("people a-0 is shown in" in said for said in composite_splits.find_problems(proof, {"people": {"a-0": other}}))
    assert any("nobody is shown in" in said for said in composite_splits.find_problems(proof, {"people": {"nobody": "val"}}))
    lie = copy.deepcopy(proof)
    lie["inputs"]["people"]["a-1"]["split"] = other
    assert any("source a is in train and val" in said for said in composite_splits.find_problems(lie, {}))
    lie = copy.deepcopy(proof)
    people = proof["inputs"]["people"]
    held, shown = (next(name for name, one in people.items() if one["split"] == split) for split in ("val", "train"))
    lie["inputs"]["people"][held]["signature"] = proof["inputs"]["people"][shown]["signature"]
    assert any("look alike" in said for said in composite_splits.find_problems(lie, {}))


def test_signatures_survive_packing() -> None:
    assert np.array_equal(duplicates.unpack(duplicates.pack(look(3))), look(3))


@pytest.mark.parametrize("val", [0.0, 0.1, 0.25, 0.5])
def test_splits_of_pictures_have_their_share_and_stay_when_there_are_more(val: float) -> None:
    found = [composite_splits.split_of(number, val) for number in range(1000)]
    assert sum(split == "val" for split, _ in found) == round(1000 * val)
    for split in ("train", "val"):
        assert [turn for name, turn in found if name == split] == list(range(sum(name == split for name, _ in found)))


@pytest.mark.parametrize(("share", "there", "expected"), [(0.0, 9, 0), (0.3, 100, 30), (0.3, 12, 12), (1.0, 1000, 100)])
def test_real_pairs_are_mixed_in_each_once(share: float, there: int, expected: int) -> None:
    found = [composite_splits.order_in_split(position, share, there) for position in range(100)]
    real = [turn for is_real, turn in found if is_real]
    assert real == list(range(expected))
    assert [turn for is_real, turn in found if not is_real] == list(range(100 - expected))


def test_the_digest_of_a_composition_never_changes() -> None:
    """Frozen: with another digest every composition that exists would be taken for an altered one."""
    files = {"im/train/000000.jpg": ("1" * 64, 5), "gt/train/000000.png": ("2" * 64, 7)}
    sealed = composition_manifest.seal({"counts": {"train": 1}, "note": "ä"}, files)
    assert sealed["digest"] == "c23b17497887551fb53dcd2e35156857b085f38a0cd21614e438068eac0ca79b"


def test_changes_to_a_composition_are_named(tmp_path: Path) -> None:
    files = {"im/train/000000.jpg": ("a" * 64, 3), "gt/train/000000.png": ("b" * 64, 4)}
    content = composition_manifest.render(composition_manifest.seal({"counts": {"train": 1}}, files))
    told = composition_manifest.parse(content, "here")
    assert composition_manifest.compare_files(told, files) == []
    other = {"im/train/000000.jpg": ("c" * 64, 3), "extra": ("d" * 64, 1)}
    assert composition_manifest.compare_files(told, other) == [
        f"im/train/000000.jpg: altered: expected 3 bytes with sha256 {'a' * 64}, found 3 bytes with sha256 {'c' * 64}",
        "gt/train/000000.png: missing",
        "extra: extra: the manifest does not list it",
    ]
    with pytest.raises(ReleaseError, match="altered: its digest is"):
        composition_manifest.parse(content.replace(b'"train": 1', b'"train": 2'), "here")
    with pytest.raises(ReleaseError, match="not readable"):
        composition_manifest.parse(b"{}", "here")
