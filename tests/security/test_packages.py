"""What an attacker of the package index or of the build may try: every install is checked, and no password is printed."""

import re
import subprocess
from pathlib import Path

import pytest

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
