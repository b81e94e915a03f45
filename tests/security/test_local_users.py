"""What another user of this machine, or a web page in a browser, may try against the scheduling Prefect server."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from figureground.errors import StoreError
from figureground.storage.atomic import build_folder, own_prefix
from figureground.storage.store import Store
from tasks.datasets.forget import forget

ROOT = Path(__file__).parents[2]

CALL = """
import asyncio, os, sys
from prefect.client.orchestration import get_client
async def main():
    async with get_client() as client:
        print(len(await client.read_flows()))
asyncio.run(main())
"""


@pytest.mark.slow
def test_the_scheduling_server_answers_only_with_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.scheduling.engine import find_server
    from flows.scheduling.prefect_server import run_server

    for name in ("PREFECT_HOME", "PREFECT_API_URL", "FIGUREGROUND_OWNER"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with run_server(tmp_path) as api:
        for path in ("/flows/filter", "/deployments/filter", "/block_documents/filter"):
            assert httpx.post(f"{api}{path}", json={}, timeout=20).status_code == 401
            assert httpx.post(f"{api}{path}", json={}, timeout=20, auth=("figureground", "guess")).status_code == 401
        user, _, password = (tmp_path / ".prefect/figureground-auth").read_text().partition(":")
        foreign = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        answer = httpx.options(f"{api}/flows/filter", headers=foreign, timeout=20)
        assert answer.headers.get("access-control-allow-origin") not in ("*", "http://evil.example")
        assert httpx.post(f"{api}/flows/filter", json={}, timeout=20, auth=(user, password)).json() == []

        assert find_server(tmp_path) == api
        command = [sys.executable, "-c", CALL]
        own = subprocess.run(command, env=os.environ | {"PREFECT_API_URL": api}, capture_output=True, text=True, check=True)
        assert own.stdout == "0\n"
        home = tmp_path / ".prefect"
        assert oct(home.stat().st_mode & 0o777) == "0o700"
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in home.glob("figureground-auth")} == {
            "figureground-auth": "0o0"
        }
    assert "PREFECT_API_AUTH_STRING" not in os.environ


def test_a_deployment_runs_only_the_catalog_it_was_made_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from figureground.errors import CatalogError
    from flows.scheduling import scheduled_flows

    class Deployment:
        id = "1"
        parameters = {"catalog": str(tmp_path / "own.yaml")}  # noqa: RUF012

    monkeypatch.setattr(scheduled_flows, "deployment", Deployment)
    monkeypatch.chdir(tmp_path)
    scheduled_flows._require_own_catalog("own.yaml")
    for flow in (scheduled_flows.nightly_ingest, scheduled_flows.frequent_pull, scheduled_flows.weekly_release):
        with pytest.raises(CatalogError, match=r"runs only the catalog it was made for, .*own\.yaml; found other\.yaml"):
            flow.fn("other.yaml")


@pytest.mark.parametrize("where", ["crops/park", "crops/park/more", "tables/scores", "shards/park"])
def test_forget_deletes_nothing_behind_a_link(labelled, tmp_path: Path, where: str) -> None:
    catalog = labelled(tmp_path, {"park": ["keep"], "walk": ["keep"]})
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("park.parquet", "letter.txt", "2.jpg"):
        (theirs / name).write_bytes(b"not ours")
    link = tmp_path / "data" / where
    if link.is_dir():
        shutil.rmtree(link)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(theirs)
    refusal = pytest.raises(StoreError, match="lies behind a link") if where == "tables/scores" else nullcontext()
    with refusal:
        forget("park", catalog)
    assert sorted(file.name for file in theirs.iterdir()) == ["2.jpg", "letter.txt", "park.parquet"]
    assert where == "tables/scores" or not link.is_symlink()


def test_what_a_killed_run_left_is_removed_without_following_links_or_opening_pipes(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("not ours")
    place = tmp_path / "data/releases"
    place.mkdir(parents=True)
    (place / ".tmp-linked").symlink_to(theirs)
    os.mkfifo(place / ".tmp-pipe")
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    (tmp_path / "data" / f"{own_prefix()}{ended.stdout.strip()}-x").symlink_to(theirs)
    with build_folder(place / "new"):
        assert not list(place.glob(".tmp-linked")) and not list(place.glob(".tmp-pipe"))
    assert len(Store(str(tmp_path / "data")).remove_temporary_files()) == 1
    assert (theirs / "letter.txt").read_text() == "not ours"
