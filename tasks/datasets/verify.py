"""Checking that a release is what its manifest says, and comparing it with another release."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from figureground import layouts, progress
from figureground.catalog import Catalog
from figureground.datasets import certificate, manifest
from figureground.datasets.manifest import FileHashes, Manifest
from figureground.errors import ArrayError, PluginError, ReleaseError
from figureground.layouts import Layout
from figureground.reports import release_diff
from figureground.similarity import duplicates, signatures
from figureground.storage import hashing
from figureground.storage.store import Store
from figureground.types import Release, Sample


def verify(folder: Path, catalog: Catalog | None = None) -> Release:
    """Check a release against its manifest, from its files alone.

    Parameters
    ----------
    folder
        The release's folder.
    catalog
        The catalog that the release has just been made with: an image whose signature its storage keeps is not decoded a
        second time. None decodes every image.

    Returns
    -------
    Release
        When everything is right.

    Raises
    ------
    ReleaseError
        The message names every file that is altered, missing, extra or not as its layout promises, and every source, video or
        image that two splits share.
    """
    _refuse_irregular(folder)
    content = _read_content(folder)
    problems = [problem for problem in [manifest.check_seal(content)] if problem]
    try:
        release_manifest = manifest.parse(content)
    except ReleaseError as error:
        raise _failure(folder, [*problems, str(error)]) from error
    known = _read_signatures(release_manifest, catalog) if catalog else {}
    del content
    files, layout_problems = _examine_files(folder, release_manifest, known)
    problems += manifest.compare_files(manifest.file_hashes(release_manifest), files)
    problems += manifest.find_leaks(release_manifest, files)
    problems += layout_problems
    problems += _find_missing_images(release_manifest, files)
    problems += _check_certificate(folder, release_manifest, files, known)
    if problems:
        raise _failure(folder, problems)
    return Release(folder.resolve().name, str(folder), release_manifest.digest, dict(release_manifest.counts))


def diff(old: Path, new: Path) -> dict[str, tuple[str, ...]]:
    """Compare a release with an older one, sample by sample; only the manifests are read.

    Returns
    -------
    dict
        Kind of change (``added``, ``dropped``, ``re-annotated``, …) to the sample ids that it happened to.

    Raises
    ------
    ReleaseError
        When one of the folders has no manifest or an altered one.
    """
    for folder in (old, new):
        _refuse_irregular(folder)
    return manifest.compare_samples(_read_manifest(old), _read_manifest(new))


def diff_page(old: Path, new: Path) -> str:
    """Show the samples that differ between two releases: an HTML page that needs no other file.

    Raises
    ------
    ReleaseError
        When one of the folders has no manifest or an altered one, or an image cannot be read.
    """
    changes = diff(old, new)
    wanted = release_diff.shown_samples(changes)
    names = old.resolve().name, new.resolve().name
    return release_diff.render(names, changes, _read_samples(old, wanted), _read_samples(new, wanted))


def _read_samples(folder: Path, wanted: set[str]) -> dict[str, Sample]:
    release_manifest = _read_manifest(folder)
    name = next(name for name, layout_folder in release_manifest.layouts.items() if layout_folder == ".")
    samples = layouts.build(name, release_manifest.settings.get(name, {})).read(folder)
    return {sample.sample_id: sample for sample in samples if sample.sample_id in wanted}


def _read_manifest(folder: Path) -> Manifest:
    content = _read_content(folder)
    if problem := manifest.check_seal(content):
        raise _failure(folder, [problem])
    return manifest.parse(content)


def _refuse_irregular(folder: Path) -> None:
    """Refuse a folder with links or special files before any is opened: a pipe never ends, and a link leads anywhere."""
    try:
        problems = hashing.find_irregular(folder) if folder.is_dir() else []
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read: {error}") from error
    if problems:
        raise _failure(folder, problems)


def _read_content(folder: Path) -> bytes:
    try:
        return (folder / manifest.FILE).read_bytes()
    except OSError as error:
        raise ReleaseError(
            f"{folder} is no release: {manifest.FILE}: {error.strerror}. Expected a folder that `figureground release` made"
        ) from error


def _read_signatures(release_manifest: Manifest, catalog: Catalog) -> dict[str, bytes]:
    """Give the packed signatures that the storage keeps of the release's sources, by the hashes of the images."""
    store = Store(catalog.storage_root)
    stored = (signatures.read(store, source_id).items() for source_id in release_manifest.sources)
    return {sha256: duplicates.pack(signature) for own in stored for sha256, signature in own}


def _examine_files(folder: Path, release_manifest: Manifest, known: dict[str, bytes]) -> tuple[FileHashes, list[str]]:
    """Hash every file, add the packed signature of every new image to those known, and collect the layouts' problems.

    A file that a layout reads is hashed at the same time, and is not read again.
    """

    def add_signature(path: str, sha256: str, content: bytes) -> None:
        if path.endswith(".jpg") and sha256 not in known and (signature := _compute_signature(content)):
            known[sha256] = signature

    log = hashing.ReadLog(add_signature)
    try:
        problems = [*_find_layout_problems(folder, release_manifest, log)]
        files = hashing.hash_folder(folder, log)
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read: {error}") from error
    files.pop(manifest.FILE)
    return files, problems


def _find_layout_problems(folder: Path, release_manifest: Manifest, log: hashing.ReadLog) -> Iterator[str]:
    for name, prefix, layout in _build_layouts(release_manifest):
        if isinstance(layout, PluginError):
            yield f"{manifest.FILE}: {layout}"
            continue
        problems = progress.track(layout.find_problems(folder / prefix, log), "verify", f"{folder.name} as {name}", 0)
        yield from (f"{prefix}{problem}" for problem in problems)


def _find_missing_images(release_manifest: Manifest, files: FileHashes) -> Iterator[str]:
    """Name the samples whose image a layout lacks, for each layout that keeps images byte for byte."""
    for name, prefix, layout in _build_layouts(release_manifest):
        if (
            isinstance(layout, PluginError)
            or not layout.verbatim
            or layouts.LETTERBOX in release_manifest.settings.get(name, {})
        ):
            continue
        own = {file: content for file, content in files.items() if file.startswith(prefix)} if prefix else files
        yield from (f"{name}: {problem}" for problem in manifest.find_missing_images(release_manifest, own))


def _build_layouts(release_manifest: Manifest) -> Iterator[tuple[str, str, Layout | PluginError]]:
    """Give each layout's name, what its files' names begin with ("" for the release itself), and it, or why it is not built."""
    for name, layout_folder in sorted(release_manifest.layouts.items()):
        prefix = "" if layout_folder == "." else f"{layout_folder}/"
        try:
            yield name, prefix, layouts.build(name, release_manifest.settings.get(name, {}))
        except PluginError as error:
            yield name, prefix, error


def _check_certificate(folder: Path, release_manifest: Manifest, files: FileHashes, known: Mapping[str, bytes]) -> list[str]:
    """Compute the leak certificate's claims again from the images that are there."""
    # for layouts without folders of splits
    listed = {sample.sha256: sample.split for sample in release_manifest.samples.values()}
    seen: set[tuple[str, str]] = set()
    images: dict[str, dict[str, bytes]] = defaultdict(dict)
    for name, (sha256, size) in files.items():
        split = manifest.split_of_file(name) or listed.get(sha256, "")
        if not split or not name.endswith(".jpg") or (split, sha256) in seen:
            continue
        seen.add((split, sha256))
        signature = known.get(sha256)
        if signature is None and size >= hashing.LARGE_FILE_BYTES:  # its content was hashed in pieces
            signature = _compute_signature((folder / name).read_bytes())
        if signature is not None:  # a file that is no image has none: its layout names it
            images[split][name] = signature
    try:
        return certificate.check((folder / certificate.FILE).read_bytes(), images)
    except OSError as error:
        return [f"{certificate.FILE}: {error.strerror}"]


def _compute_signature(content: bytes) -> bytes | None:
    """Give an image's packed signature, or None for what is no image."""
    try:
        return duplicates.pack(duplicates.compute_jpeg_signature(content))
    except ArrayError:
        return None


def _failure(folder: Path, problems: list[str]) -> ReleaseError:
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ReleaseError(
        f"{folder} is not the release its manifest describes; {len(problems)} problem{'s'[: len(problems) != 1]}:{lines}\n"
        "Take a good copy, or make the release again under another --note"
    )
