"""One file out of a wheel, and nothing that could land elsewhere."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import SourceError
from figureground.media import wheels

PARTS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,6}[A-Za-z0-9])?", fullmatch=True)


def wheel(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "clips-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@given(name=PARTS, version=PARTS, member=st.lists(PARTS, min_size=1, max_size=3).map("/".join))
def test_a_path_is_read_as_it_was_written(name: str, version: str, member: str) -> None:
    assert wheels.parse_path(f"package:{name}=={version}!{member}") == wheels.PackageFile(name, version, member)


@pytest.mark.parametrize(
    "path",
    [
        "package:clips",
        "package:clips==1.0",
        "package:clips==1.0!",
        "package:clips>=1.0!a.mp4",
        "package:==1.0!a.mp4",
        "package:--index-url=x==1.0!a.mp4",
        "package:clips==-r!a.mp4",
        "package:clips @ file:///x==1!a.mp4",
    ],
)
def test_another_form_is_refused(path: str) -> None:
    with pytest.raises(SourceError, match="expected package:NAME==VERSION!MEMBER, for example"):
        wheels.parse_path(path)


@pytest.mark.parametrize("member", ["../a.pt", "/a.pt", "a/../../b", "C:/a.pt", "a\\b.pt", "..\\b.pt"])
def test_a_member_that_leaves_is_refused(tmp_path: Path, member: str) -> None:
    with pytest.raises(SourceError, match="would leave the wheel"):
        wheels.parse_path(f"package:clips==1.0!{member}")
    with pytest.raises(SourceError, match=r"clips-1\.0.*holds .*a name that leaves the folder: nothing of it is used"):
        wheels.extract_member(wheel(tmp_path, {"clips/a.mp4": b"clip", member: b"evil"}), "clips/a.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_member_is_unpacked(tmp_path: Path) -> None:
    wheels.extract_member(
        wheel(tmp_path, {"clips/a.mp4": b"clip" * 1000, "clips/b.mp4": b"other"}), "clips/a.mp4", tmp_path / "out"
    )

    assert (tmp_path / "out").read_bytes() == b"clip" * 1000


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("clips/walk.mp4", r"has no file 'clips/walk\.mp4'; did you mean 'clips/demo/walk\.mp4'\?"),
        ("clips/demo/wlak.mp4", r"did you mean 'clips/demo/walk\.mp4'"),
        ("zzz", r"it has 6 files: clips/demo/walk\.mp4, .*, …"),
        ("clips/demo/", "has no file 'clips/demo/'"),
    ],
)
def test_a_missing_member_lists_near_names(tmp_path: Path, member: str, message: str) -> None:
    members = {"clips/demo/": b"", "clips/demo/walk.mp4": b"1", **{f"clips/{number}.txt": b"" for number in range(5)}}

    with pytest.raises(SourceError, match=message):
        wheels.extract_member(wheel(tmp_path, members), member, tmp_path / "out")


def test_a_damaged_wheel_is_named(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"clips/a.mp4": bytes(range(256)) * 50})
    content = bytearray(path.read_bytes())
    content[60:80] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"clips-1\.0-py3-none-any\.whl is damaged or no wheel"):
        wheels.extract_member(path, "clips/a.mp4", tmp_path / "out")

    path.write_bytes(b"<html>log in</html>")
    with pytest.raises(SourceError, match=r"is damaged or no wheel \(File is not a zip file\)"):
        wheels.extract_member(path, "clips/a.mp4", tmp_path / "out")
