"""The first catalog of a folder loads as it stands, and what cannot become one is refused with what to do."""

from pathlib import Path

import pytest
import yaml

from figureground.catalog import load, starter
from figureground.errors import CatalogError


def make_folder(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize("name", ["videos", "Été: [1] #2 & 'x'", "yes", "公园", "- a"])
def test_the_catalog_of_any_folder_name_loads(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path / name, "a.mp4", "B.MOV", "._a.mp4", "notes.txt")
    contents = starter.count_files(folder)
    assert contents == starter.FolderContents(videos=2, photos=0)
    file = tmp_path / "data_catalog.yaml"
    starter.write(file, starter.render(folder, contents, "CC-BY-4.0: mine", ["street", "no"], "", tmp_path))
    catalog = load(file)
    [(source_id, entry)] = catalog.sources.items()
    assert source_id and (entry.path, entry.license, entry.scenes) == (name, "CC-BY-4.0: mine", ("street", "no"))
    assert catalog.releases.val == 0


def test_videos_and_photos_become_two_sources(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mixed", *[f"{number}.mp4" for number in range(10)], "a.jpg")
    text = starter.render(folder, starter.count_files(folder), "own", [], "mine", tmp_path / "elsewhere")
    content = yaml.safe_load(text)
    assert {name: entry.get("kind", "video") for name, entry in content["sources"].items()} == {
        "mine": "video",
        "mine-photos": "images",
    }
    assert content["sources"]["mine"]["path"] == str(folder)  # outside the catalog's folder
    assert "releases" not in content  # ten videos can be split


def test_what_is_no_folder_of_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no such folder\. Expected a folder with videos or photos, for example"):
        starter.count_files(tmp_path / "nowhere")
    with pytest.raises(CatalogError, match="without videos or photos: none of its 2 files ends in"):
        starter.count_files(make_folder(tmp_path / "empty", "a.txt", "b.doc"))


def test_a_catalog_that_exists_is_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "data_catalog.yaml"
    file.write_text("sources: {}")
    with pytest.raises(CatalogError, match=r"exists already, and is not replaced\. Add the folder to its `sources:`"):
        starter.write(file, "sources: {other: {}}")
    assert file.read_text() == "sources: {}"


def test_plugins_without_settings_are_given_by_name_alone(tmp_path: Path) -> None:
    file = tmp_path / "data_catalog.yaml"
    recipe = "{sample: {every_seconds: 1}, detector: yolo, remover: rembg, checks: CHECKS}"
    sources = "sources: {a: {path: a.mp4, license: own}}\n"
    for written in ("[size, {exposure: {}}]", "{size: {}, exposure: {}}"):
        file.write_text(f"{sources}recipe: {recipe.replace('CHECKS', written)}")
        loaded = load(file, build_plugins=False).recipe
        assert list(loaded.checks) == ["size", "exposure"]
        assert (list(loaded.detector), list(loaded.remover)) == (["yolo"], ["rembg"])
    file.write_text(f"{sources}recipe: {recipe.replace('CHECKS', '[size, size]')}")
    with pytest.raises(CatalogError, match=r"recipe.checks: expected each name once; size stands there twice"):
        load(file)
