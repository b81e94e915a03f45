"""Sizes in the catalog, and whose files are removed first when the disk budget is used up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.storage.disk_budget import EvictionCandidate, choose_evictions, format_size, parse_size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1,5GB", "12 gb", "1e3"])
def test_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 200GB"):
        parse_size(text)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100)), max_size=12), st.integers(0, 500), st.integers(0, 400))
def test_the_oldest_files_are_removed_first_and_no_more_than_needed(
    given_: list[tuple[int, int]], more: int, allowed: int
) -> None:
    candidates = [EvictionCandidate(f"s{n}", float(last), {"f": bytes_}) for n, (last, bytes_) in enumerate(given_)]
    used = sum(candidate.size_bytes for candidate in candidates) + more
    chosen = choose_evictions(used, allowed, candidates)
    left = used - sum(candidate.size_bytes for candidate in chosen)
    assert left <= allowed or len(chosen) == len(candidates)
    assert not chosen or left + chosen[-1].size_bytes > allowed  # the last one was needed
    spared = [candidate.last_processed for candidate in candidates if candidate not in chosen]
    assert not chosen or not spared or max(candidate.last_processed for candidate in chosen) <= min(spared)


def test_without_a_budget_nothing_is_removed() -> None:
    assert choose_evictions(10**12, None, [EvictionCandidate("a", 0.0, {"f": 1})]) == []


def test_sizes_are_formatted_for_people() -> None:
    assert [format_size(number) for number in (999, 1000, 3.2e12)] == ["999 B", "1.0 KB", "3.2 TB"]
