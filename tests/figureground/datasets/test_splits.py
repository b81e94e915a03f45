"""Which split a source goes to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.datasets import splits
from figureground.errors import ReleaseError
from figureground.types import Source

IDS = st.text("abcdefgh-0123456789", min_size=1, max_size=12)


def source(source_id: str, split: str = "auto") -> Source:
    return Source(source_id, "video", "x.mp4", "", "MIT", (), split)


@given(st.sets(IDS, max_size=30), st.sets(IDS, max_size=30), st.floats(0, 0.5), st.floats(0, 0.49))
def test_adding_sources_moves_no_source(old: set[str], new: set[str], val: float, test: float) -> None:
    before = splits.assign([source(name) for name in sorted(old)], val, test)
    after = splits.assign([source(name) for name in sorted(old | new, reverse=True)], val, test)
    assert {name: after[name] for name in before} == before


@given(st.sets(IDS, max_size=30), st.floats(0, 0.45), st.floats(0, 0.45), st.floats(0, 0.45), st.floats(0, 0.45))
def test_changing_shares_moves_no_source_between_test_and_val(
    names: set[str], val: float, test: float, other_val: float, other_test: float
) -> None:
    before = splits.assign([source(name) for name in names], val, test)
    after = splits.assign([source(name) for name in names], other_val, other_test)
    assert not [name for name in names if {before[name], after[name]} == {"test", "val"}]


@given(IDS, st.sampled_from(splits.SPLITS), st.floats(0, 0.5), st.floats(0, 0.49))
def test_a_split_the_catalog_fixes_wins(name: str, split: splits.Split, val: float, test: float) -> None:
    assert splits.assign([source(name, split)], val, test) == {name: split}


def test_shares_are_honoured() -> None:
    assigned = splits.assign([source(f"clip-{number}") for number in range(10_000)], val=0.2, test=0.05)
    counts = {split: list(assigned.values()).count(split) for split in splits.SPLITS}
    assert abs(counts["val"] - 2000) < 120
    assert abs(counts["test"] - 500) < 70


def test_places_never_change() -> None:
    """Frozen: changing the hash would move samples of published releases from test to train."""
    assigned = splits.assign([source(f"clip-{number}") for number in range(12)], val=0.3, test=0.3)
    assert " ".join(assigned.values()) == "test train test test val val train test test train test train"


@pytest.mark.parametrize(("val", "test"), [(0.6, 0.4), (-0.1, 0.0), (float("nan"), 0.0)])
def test_shares_that_leave_no_train_are_refused(val: float, test: float) -> None:
    with pytest.raises(ReleaseError, match="together below 1"):
        splits.assign([], val, test)


@pytest.mark.parametrize(
    ("pictures", "assigned", "shares", "said"),
    [
        ({"a": 9, "b": 2}, {"a": "train", "b": "train"}, (0.1, 0.0), "no val image.*Set `split: val` on the source b"),
        ({"a": 9, "b": 2}, {"a": "val", "b": "val"}, (0.1, 0.0), "no train image.*Set `split: train` on the source a"),
        ({"a": 9, "b": 2}, {"a": "val", "b": "test"}, (0.1, 0.1), "no train image.*Set `split: train` on the source a"),
        ({"a": 9, "b": 2}, {"a": "train", "b": "val"}, (0.1, 0.1), "no test image.*Label another source, or set `test: 0`"),
        ({"a": 9, "b": 0}, {"a": "train", "b": "val"}, (0.1, 0.0), "no val image.*Label another source, or set `val: 0`"),
        ({"a": 9}, {"a": "val"}, (0.1, 0.0), "no train image.*Label another source$"),
    ],
)
def test_an_empty_split_is_refused_with_the_way_out(
    pictures: dict[str, int], assigned: dict[str, splits.Split], shares: tuple[float, float], said: str
) -> None:
    with pytest.raises(ReleaseError, match=said):
        splits.require_all(pictures, assigned, *shares)


@pytest.mark.parametrize(
    ("assigned", "shares"),
    [
        ({"a": "train", "b": "train"}, (0.0, 0.0)),
        ({"a": "train", "b": "val"}, (0.1, 0.0)),
        ({"a": "train", "b": "test"}, (0.0, 0.0)),
    ],
)
def test_a_split_that_was_not_requested_may_be_empty(assigned: dict[str, splits.Split], shares: tuple[float, float]) -> None:
    splits.require_all({"a": 1, "b": 1}, assigned, *shares)


@pytest.mark.parametrize(
    ("stem", "folder", "source"),
    [("park-000120-00", "", "park"), ("dancer-000040l", "", "dancer"), ("IMG_0012", "", "IMG_0012"), ("0012", "", "0012"),
     ("x-1", "alice", "alice"), ("x", "alice/left", "alice"), ("-12", "", "-12")],
)  # fmt: skip
def test_a_pictures_source_is_its_folder_or_its_name_without_numbers(stem: str, folder: str, source: str) -> None:
    assert splits.source_of(stem, folder) == source


@pytest.mark.parametrize(
    ("sample_id", "source"),
    [("park-000120-02", "park"), ("photo", "photo"), ("dancer-000040l", "dancer"), ("dancer-000040l-01", "dancer")],
)
def test_a_release_without_manifest_groups_its_samples_as_a_composition_does(sample_id: str, source: str) -> None:
    """The second rule that training had made a source of its own of each numbered name that ends in a letter."""
    assert splits.source_of(sample_id) == source


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([], {}),
        ([("a", "val"), ("a", "train")], {"a": "val"}),
        ([("a", "train"), ("b", "val"), ("a", "test"), ("b", "train")], {"a": "test", "b": "val"}),
    ],
)
def test_the_most_held_out_split_of_a_source_wins(named: list[tuple[str, splits.Split]], expected: dict[str, str]) -> None:
    assert splits.most_held_out_by_source(named) == expected
