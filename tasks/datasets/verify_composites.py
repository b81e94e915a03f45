"""Looking at a folder of synthetic pairs: is it what it says, and do train and val share nothing."""

import io
from pathlib import Path

import pandas as pd

from figureground import documents, layouts, progress
from figureground.errors import PluginError, ReleaseError
from figureground.storage import hashing
from figureground.synthesis import composite_splits, composition_manifest
from figureground.types import Release


def verify_composites(folder: Path) -> Release:
    """Check a composition from its files alone.

    Parameters
    ----------
    folder
        What `figureground compose` made.

    Returns
    -------
    Release
        When everything is right.

    Raises
    ------
    ReleaseError
        Naming every file that is altered, missing, extra or not as its layout promises, and every person, background or source
        that two splits share.
    """
    try:
        problems = hashing.find_irregular(folder)
        if problems:
            raise _failure(folder, problems)
        manifest = composition_manifest.parse((folder / composition_manifest.FILE).read_bytes(), str(folder))
        files = dict(hashing.hash_folder(folder).items())
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read: {error}") from error
    files.pop(composition_manifest.FILE)
    problems = [*composition_manifest.compare_files(manifest, files), *_misplaced(folder, manifest), *_shared(folder)]
    if problems:
        raise _failure(folder, problems)
    return Release(folder.resolve().name, str(folder), str(manifest["digest"]), dict(manifest["counts"]))


def _failure(folder: Path, problems: list[str]) -> ReleaseError:
    lines = "".join(f"\n  {problem}" for problem in problems)
    count = f"{len(problems)} problem{'s'[: len(problems) != 1]}"
    return ReleaseError(f"{folder} is not what it says; {count}:{lines}\nMove it away, then compose again")


def _misplaced(folder: Path, manifest: dict[str, object]) -> list[str]:
    misplaced = []
    for name, layout_folder in sorted(manifest["layouts"].items()):  # type: ignore[attr-defined]
        try:
            plugin = layouts.build(name, manifest["settings"].get(name, {}))  # type: ignore[attr-defined]
        except PluginError as error:
            misplaced.append(f"{composition_manifest.FILE}: {error}")
            continue
        where = "" if layout_folder == "." else f"{layout_folder}/"
        problems = progress.track(plugin.find_problems(folder / layout_folder), "verify", f"{folder.name} as {name}", 0)
        misplaced += [f"{where}{problem}" for problem in problems]
    return misplaced


def _shared(folder: Path) -> list[str]:
    """Compare what the recipes say was shown where with the certificate, and all inputs of two splits with each other."""
    try:
        rows = pd.read_parquet(io.BytesIO((folder / composition_manifest.RECIPES).read_bytes())).to_dict("records")
        proof = documents.parse_json((folder / composite_splits.FILE).read_bytes())
        used: dict[str, dict[str, str]] = {"people": {}, "backgrounds": {}, "real": {}}
        problems = []
        for row in rows:
            kinds = {"people": list(row["people"]), "backgrounds": [row["background_id"]] if row["background_id"] else []}
            kinds["real"] = [] if row["background_id"] else [row["picture_id"]]
            for kind, names in kinds.items():
                for name in names:
                    if used[kind].setdefault(name, row["split"]) != row["split"]:
                        there, here = used[kind][name], f"{row['split']} by {row['picture_id']}"
                        problems.append(f"{kind} {name} is shown in {there} and in {here}")
        return problems + composite_splits.find_problems(proof, used)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{composition_manifest.RECIPES} or {composite_splits.FILE}: not readable: {type(error).__name__}: {error}"]
