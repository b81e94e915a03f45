"""What an attacker of the package index or of the build may try: installs are checked, and archives unpack to no gigabytes."""

import gzip
import io
import re
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from figureground.clients.sources import pip_index
from figureground.errors import SourceError
from figureground.media import tarballs, wheels

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("*.lock"))


def test_make_prints_no_password_of_a_mirror() -> None:
    command = ["make", "-n", "-B", "install", "studio", "mmseg", "litert", "lock"]
    mirror = "UV_DEFAULT_INDEX=https://user:hunter2@mirror.example/simple"
    result = subprocess.run([*command, mirror], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "uv pip sync" in result.stdout
    assert "hunter2" not in result.stdout + result.stderr


def test_every_package_is_installed_by_hash() -> None:
    lines = (ROOT / "Makefile").read_text().replace("\\\n", "").splitlines()
    installs = [line for line in lines if re.search(r"pip (install|sync) ", line) and "-e ." not in line]
    assert len(installs) >= 6
    assert [line for line in installs if "--require-hashes" not in line] == []
    assert [line for line in lines if "-e ." in line and not {"--no-deps", "--no-build-isolation"} <= set(line.split())] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_line_of_a_lock_file_has_a_hash_and_no_host(lock: Path) -> None:
    text = lock.read_text()
    pins = re.findall(r"^[a-zA-Z0-9][^\n]*==(?:[^\n]*\\\n)+[^\n]*", text, flags=re.M)
    assert len(pins) == len(re.findall(r"^[a-zA-Z0-9]", text, flags=re.M)) > 5
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text


def zip_of_zeros(path: Path, size: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a/clip.mp4", "w") as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return path


def tar_of_zeros(path: Path, size: int, before: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, length in ((before, size), ("package/clip.mp4", 10 if before else size)):
            if name:
                info = tarfile.TarInfo(name)
                info.size = length
                archive.addfile(info, io.BytesIO(bytes(length)))
    return path


@pytest.mark.parametrize("kind", ["wheel", "package", "package with much before it"])
def test_a_member_that_unpacks_to_more_than_allowed_is_refused(tmp_path: Path, kind: str) -> None:
    size, at_most = 30 << 20, 10 << 20
    if kind == "wheel":
        unpack, made = wheels.extract_member, zip_of_zeros(tmp_path / "a.whl", size)
    else:
        unpack, made = tarballs.extract_member, tar_of_zeros(tmp_path / "a.tgz", size, "package/b" if "before" in kind else "")
    assert made.stat().st_size < 100_000
    with pytest.raises(SourceError, match=r"too big|more bytes than allowed"):
        unpack(made, "a/clip.mp4" if kind == "wheel" else "clip.mp4", tmp_path / "out", at_most)
    assert not (tmp_path / "out").exists() or (tmp_path / "out").stat().st_size <= at_most


def test_a_header_of_a_tarball_that_claims_gigabytes_is_refused_in_little_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("./PaxHeaders/a")
    info.type, info.size = tarfile.XHDTYPE, 6_000_000_000
    with gzip.open(tmp_path / "a.tgz", "wb", 1) as file:
        file.write(info.tobuf(tarfile.PAX_FORMAT))
        for _ in range(200):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"damaged or no npm package .a header of 6,000,000,"):
        tarballs.extract_member(tmp_path / "a.tgz", "clip.mp4", tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_pip_and_npm_write_no_file_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_index, "FILE_BYTES_AT_MOST", 1 << 20)
    code = "import sys; file = open(sys.argv[1], 'wb'); [file.write(bytes(1 << 16)) for _ in range(64)]"
    command = [*pip_index.limit_files(), sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode and "File too large" in done.stderr
    assert (tmp_path / "file").stat().st_size <= 1 << 20
