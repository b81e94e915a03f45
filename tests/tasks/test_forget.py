"""A take-down: nothing of a source is left but what releases hold, and those are named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from figureground.catalog import Catalog
from figureground.errors import StoreError
from tasks.forget import forget
from tasks.release import release

Make = Callable[..., Catalog]
SOURCES = {"park": ["keep", "keep"], "park-2": ["keep"], "walk": ["keep", "blurred"]}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def cut(catalog: Catalog) -> str:
    made = release.fn([catalog.source(name) for name in catalog.sources], catalog, "demo", "20261130")
    return str(made.name)


def test_everything_of_one_source_goes_and_nothing_else(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, SOURCES, {"park": "train", "walk": "val"})
    released = cut(catalog)
    before = names(tmp_path / "data")
    crops = {(tmp_path / "data" / name).read_bytes() for name in before if name.startswith("crops/park/")}
    (tmp_path / "data/reports").mkdir()
    (tmp_path / "data/reports/park.html").write_text("page")
    gone = forget("park", catalog)
    left = names(tmp_path / "data")
    assert gone.sources == ("park",) and gone.releases == {released: 2} and gone.unreadable == ()
    assert gone.files == len(before) - len(left) + 1
    outside = [name for name in left if not name.startswith("releases/")]
    assert not [name for name in outside if "/park/" in name or "/park." in name]
    assert not crops & {(tmp_path / "data" / name).read_bytes() for name in outside}
    assert [name for name in left if "park-2" in name] == [name for name in before if "park-2" in name]
    assert len(gone.task_ids) == 2


def test_an_expanded_source_goes_with_all_its_files(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, {"clips-a": ["keep"], "clips-b": ["keep"], "clips-x-1": ["keep"]})
    entry = catalog.sources["clips-a"]
    catalog = catalog.model_copy(update={"sources": {"clips": entry, "clips-x": entry}})
    assert forget("clips", catalog).sources == ("clips-a", "clips-b")
    assert [path.name for path in (tmp_path / "data/crops").iterdir()] == ["clips-x-1"]


def test_a_source_that_only_releases_know_is_named_by_them(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, SOURCES, {"park": "train", "walk": "val"})
    released = cut(catalog)
    forget("park", catalog)
    again = forget("park", catalog)
    assert (again.files, again.releases) == (0, {released: 2})


def test_an_unknown_source_is_refused_with_those_there_are(labelled: Make, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"'parc' is in .*park, park-2, walk"):
        forget("parc", labelled(tmp_path, SOURCES))
