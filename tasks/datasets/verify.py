"""Looking at a release: is it what its manifest says, and what sets it apart from another one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from figureground import layouts, progress
from figureground.catalog import Catalog
from figureground.datasets import certificate, manifest
from figureground.datasets.manifest import Manifest
from figureground.errors import ArrayError, PluginError, ReleaseError
from figureground.reports import release_diff
from figureground.similarity import duplicates, signatures
from figureground.storage import hashing
from figureground.storage.store import Store
from figureground.types import Release, Sample


def verify(folder: Path, catalog: Catalog | None = None) -> Release:
    """Check a release against its manifest, from the files alone.

    Parameters
    ----------
    folder
        The release's folder.
    catalog
        Whose storage has just been released from: a picture whose bytes have the hash of one that was looked at there is not
        decoded a second time. None decodes every picture.

    Returns
    -------
    Release
        When everything is right.

    Raises
    ------
    ReleaseError
        Naming every file that is altered, missing, extra or not as its layout promises, and every source, video or picture
        that two splits share.
    """
    content = _content(folder)
    problems = [problem for problem in [manifest.check_seal(content)] if problem]
    try:
        held = manifest.parse(content)
    except ReleaseError as error:
        raise _refused(folder, [*problems, str(error)]) from error
    looks = _known(held, catalog) if catalog else {}
    del content
    found, misplaced = _found(folder, held, looks)
    problems += [*manifest.compare_files(manifest.file_hashes(held), found), *manifest.find_leaks(held, found), *misplaced]
    problems += _incomplete(held, found)
    problems += _recheck(folder, held, found, looks)
    if problems:
        raise _refused(folder, problems)
    return Release(folder.resolve().name, str(folder), held.digest, dict(held.counts))


def diff(old: Path, new: Path) -> dict[str, tuple[str, ...]]:
    """Say what sets a release apart from an older one; only the manifests are read.

    Returns
    -------
    dict
        What happened (``added``, ``dropped``, ``re-annotated``, ...) to the stems it happened to.

    Raises
    ------
    ReleaseError
        When one of the folders has no manifest or an altered one.
    """
    return manifest.compare_samples(_manifest(old), _manifest(new))


def diff_page(old: Path, new: Path) -> str:
    """Show what sets a release apart from an older one: an HTML page that needs no other file.

    Raises
    ------
    ReleaseError
        When one of the folders has no manifest or an altered one, or a picture cannot be read.
    """
    changes = diff(old, new)
    wanted = release_diff.shown(changes)
    names = old.resolve().name, new.resolve().name
    return release_diff.page(names, changes, *(_samples(folder, wanted) for folder in (old, new)))


def _samples(folder: Path, wanted: set[str]) -> dict[str, Sample]:
    held = _manifest(folder)
    layout = next(layout for layout, place in held.layouts.items() if place == ".")
    samples: Iterable[Sample] = layouts.build(layout, held.settings.get(layout, {})).read(folder)
    return {sample.sample_id: sample for sample in samples if sample.sample_id in wanted}


def _manifest(folder: Path) -> Manifest:
    content = _content(folder)
    if problem := manifest.check_seal(content):
        raise _refused(folder, [problem])
    return manifest.parse(content)


def _content(folder: Path) -> bytes:
    try:
        return (folder / manifest.FILE).read_bytes()
    except OSError as error:
        raise ReleaseError(
            f"{folder} is no release: {manifest.FILE}: {error.strerror}. Expected a folder that `figureground release` made"
        ) from error


def _known(held: Manifest, catalog: Catalog) -> dict[str, bytes]:
    """Give the packed signatures that the storage keeps of the release's sources, by the pictures' hashes."""
    kept = Store(catalog.storage_root)
    found = (signatures.of_source(kept, source_id).items() for source_id in held.sources)
    return {digest: duplicates.pack(one) for some in found for digest, one in some}


def _found(folder: Path, held: Manifest, looks: dict[str, bytes]) -> tuple[manifest.FileHashes, list[str]]:
    """Hash every file, note the packed signature of every picture by its hash, and say what the layouts find wrong.

    What a layout reads is hashed there and then, and not read again.
    """

    def compute_signature(path: str, digest: str, content: bytes) -> None:
        if path.endswith(".jpg") and digest not in looks and (signature := _signature(content)):
            looks[digest] = signature

    log = hashing.ReadLog(compute_signature)
    try:
        misplaced = [*_misplaced(folder, held, log)]
        found = hashing.hash_folder(folder, log)
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read: {error}") from error
    found.pop(manifest.FILE)
    return found, misplaced


def _misplaced(folder: Path, held: Manifest, log: hashing.ReadLog) -> Iterator[str]:
    """Ask each layout what is wrong with its files."""
    for layout, where, plugin in _built(held):
        if isinstance(plugin, PluginError):
            yield f"{manifest.FILE}: {plugin}"
            continue
        problems: Iterable[str] = plugin.find_problems(folder / where, log)
        yield from (f"{where}{problem}" for problem in progress.track(problems, "verify", f"{folder.name} as {layout}", 0))


def _incomplete(held: Manifest, found: manifest.FileHashes) -> Iterator[str]:
    """Ask each layout that keeps pictures byte for byte whether it has them all."""
    for layout, where, plugin in _built(held):
        if isinstance(plugin, PluginError) or not plugin.verbatim or layouts.LETTERBOX in held.settings.get(layout, {}):
            continue
        own = {name: content for name, content in found.items() if name.startswith(where)} if where else found
        yield from (f"{layout}: {problem}" for problem in manifest.find_missing_images(held, own))


def _built(held: Manifest) -> Iterator[tuple[str, str, Any]]:
    """Give each layout's name, its folder's name with "/" ("" for the release itself), and its plug-in or why it has none."""
    for layout, place in sorted(held.layouts.items()):
        where = "" if place == "." else f"{place}/"
        try:
            yield layout, where, layouts.build(layout, held.settings.get(layout, {}))
        except PluginError as error:
            yield layout, where, error


def _recheck(folder: Path, held: Manifest, found: manifest.FileHashes, looks: Mapping[str, bytes]) -> list[str]:
    """Compute the leak certificate's claims again from the pictures that are there."""
    listed = {sample.sha256: sample.split for sample in held.samples.values()}  # for layouts without folders of splits
    seen: set[tuple[str, str]] = set()
    pictures: dict[str, dict[str, bytes]] = defaultdict(dict)
    for name, (content, size) in found.items():
        split = manifest.split_of_file(name) or listed.get(content, "")
        if not split or not name.endswith(".jpg") or (split, content) in seen:
            continue
        seen.add((split, content))
        # A picture too large to be looked at while it was hashed; what is no picture has none: its layout says so.
        signature = looks.get(content)
        if signature is None and size >= hashing.LARGE_FILE_BYTES:
            signature = _signature((folder / name).read_bytes())
        if signature is not None:
            pictures[split][name] = signature
    try:
        return certificate.problems((folder / certificate.FILE).read_bytes(), pictures)
    except OSError as error:
        return [f"{certificate.FILE}: {error.strerror}"]


def _signature(content: bytes) -> bytes | None:
    """Give a picture's packed signature, or None for what is no picture."""
    try:
        return duplicates.pack(duplicates.of_jpeg(content))
    except ArrayError:
        return None


def _refused(folder: Path, problems: list[str]) -> ReleaseError:
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ReleaseError(
        f"{folder} is not the release its manifest describes; {len(problems)} problem{'s'[: len(problems) != 1]}:{lines}\n"
        "Take a good copy, or cut it again under another --note"
    )
