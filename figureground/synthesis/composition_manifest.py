"""What a finished folder of synthetic pairs says of itself, and whether it still holds.

::

    SyntheticSeg_Person_<note>/
      im/<split>/<stem>.jpg, gt/<split>/<stem>.png      the pairs, see `figureground.layouts.im_gt`
      people/<split>/<stem>-<n>.png                     what is seen of each person, where there are several
      <layout>/                                         every further layout that was asked for
      recipes.parquet                                   the table composites
      certificate.json                                  see `figureground.synthesis.composite_splits`
      composition.json                                  settings, counts, every file's hash, and a seal over all
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from figureground import documents
from figureground.datasets.manifest import sealing
from figureground.datasets.manifest.sealing import FileHashes
from figureground.errors import ReleaseError

FILE = "composition.json"
RECIPES = "recipes.parquet"
CERTIFICATE = "certificate.json"
FOLDER = "SyntheticSeg_Person_"


def seal(content: Mapping[str, Any], files: FileHashes) -> dict[str, Any]:
    """Add the files and the digest over everything else."""
    manifest = {**content, "files": {name: {"sha256": digest, "bytes": size} for name, (digest, size) in sorted(files.items())}}
    return {**manifest, "digest": _digest(manifest)}


def render(content: Mapping[str, Any]) -> bytes:
    """Give the bytes of ``composition.json``."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse(content: bytes, where: str) -> dict[str, Any]:
    """Read ``composition.json``.

    Raises
    ------
    ReleaseError
        When it is not what `written` wrote.
    """
    try:
        manifest = documents.parse_json(content)
        if not isinstance(manifest, dict) or not isinstance(manifest["files"], dict):
            raise TypeError("not a mapping with files")
        for entry in manifest["files"].values():
            if not (isinstance(entry, dict) and isinstance(entry["sha256"], str) and isinstance(entry["bytes"], int)):
                raise TypeError("a file without its sha256 and bytes")
        recorded, computed = manifest["digest"], _digest(manifest)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReleaseError(f"{where}/{FILE}: not readable: {type(error).__name__}: {error}; take a good copy") from error
    if recorded != computed:
        raise ReleaseError(f"{where}/{FILE}: altered: its digest is {computed}, it says {recorded}; take a good copy")
    return manifest


def compare_files(manifest: Mapping[str, Any], files: FileHashes) -> list[str]:
    """Name every file that is altered, missing or extra."""
    expected = {name: (entry["sha256"], entry["bytes"]) for name, entry in manifest["files"].items()}
    return sealing.compare_files(expected, files)


def count_source_images(folder: Path, sources: Collection[str]) -> dict[str, int]:
    """Say which compositions in a folder were made with pictures of some sources, and with how many."""
    files = {}
    for file in sorted(folder.glob(f"{FOLDER}*/{CERTIFICATE}")):
        inputs = json.loads(file.read_bytes())["inputs"].values()
        if count := sum(entry["source"] in sources for entries in inputs for entry in entries.values()):
            files[file.parent.name] = count
    return files


def _digest(content: Mapping[str, Any]) -> str:
    """Digest the text that compositions are sealed with: plain sorted JSON, not the lines of ``manifest.json``."""
    return sealing.compute_digest([json.dumps(sealing.without_digest(content), sort_keys=True).encode()])
