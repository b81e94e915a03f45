"""One file out of a package of the npm registry, and nothing that could land elsewhere."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import SourceError
from figureground.media import addresses, tarballs
from figureground.media.wheels import PackageFile

NAMES = st.from_regex(r"(@[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?/)?[a-z0-9]([a-z0-9.-]{0,5}[a-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}\.[0-9]\.[0-9](-[a-z]{1,5}\.[0-9])?", fullmatch=True)
MEMBERS = st.lists(st.from_regex(r"[A-Za-z0-9]{1,5}(\.[a-z]{1,4})?", fullmatch=True), min_size=1, max_size=3).map("/".join)


def tarball(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "runtime-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            told = tarfile.TarInfo(name)
            told.size = len(content)
            archive.addfile(told, io.BytesIO(content))
        link = tarfile.TarInfo("package/dist/link.js")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


@given(name=NAMES, version=VERSIONS, member=MEMBERS)
def test_a_path_is_read_as_it_was_written(name: str, version: str, member: str) -> None:
    path = f"npm:{name}@{version}!{member}"
    assert tarballs.parse_path(path) == addresses.parse_package_path(path) == PackageFile(name, version, member)
    assert addresses.file_name(path) == member.rsplit("/", 1)[-1]


@pytest.mark.parametrize(
    "path",
    [
        "npm:runtime",
        "npm:runtime@1.0.0",
        "npm:runtime@^1.0.0!a.js",
        "npm:runtime@latest!a.js",
        "npm:--registry=x@1.0.0!a.js",
        "npm:@x@1.0.0!a.js",
        "npm:git+ssh://x@1.0.0!a.js",
        "npm:../x@1.0.0!a.js",
    ],
)
def test_another_form_is_refused(path: str) -> None:
    with pytest.raises(SourceError, match="expected npm:NAME@VERSION!MEMBER, for example"):
        tarballs.parse_path(path)


@pytest.mark.parametrize("member", ["../a.js", "/a.js", "a/../../b", "a\\b.js"])
def test_a_member_that_leaves_is_refused(member: str) -> None:
    with pytest.raises(SourceError, match="would leave the package"):
        tarballs.parse_path(f"npm:runtime@1.0.0!{member}")


def test_one_member_is_unpacked(tmp_path: Path) -> None:
    made = tarball(tmp_path, {"package/dist/a.js": b"code" * 1000, "package/b.js": b"other", "../evil.js": b"evil"})
    tarballs.extract_member(made, "dist/a.js", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"code" * 1000
    assert {path.name for path in tmp_path.iterdir()} == {made.name, "out"}


@pytest.mark.parametrize("member", ["a.js", "dist/link.js"])
def test_a_missing_member_and_one_that_is_no_file_are_named(tmp_path: Path, member: str) -> None:
    with pytest.raises(SourceError, match=rf"runtime-1\.0\.0\.tgz has no file '{member}'; did you mean 'dist/a\.js'"):
        tarballs.extract_member(tarball(tmp_path, {"package/dist/a.js": b"code"}), member, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_tarball_is_named(tmp_path: Path) -> None:
    path = tarball(tmp_path, {"package/a.js": bytes(range(256)) * 100})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SourceError, match="damaged or no npm package"):
        tarballs.extract_member(path, "a.js", tmp_path / "out")
