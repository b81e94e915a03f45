"""The catalog's model weights as verified files in the user's cache; `figureground.clients.sources.fetching` fetches them."""

import os
from pathlib import Path

from platformdirs import user_cache_dir

from figureground.errors import AssetError
from figureground.storage.hashing import sha256_file
from figureground.types import Weights


def cache_folder() -> Path:
    """Give the folder that all checkouts share: ``$FIGUREGROUND_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("FIGUREGROUND_CACHE") or user_cache_dir("figureground"))


def path_in_cache(weights: Weights) -> Path:
    """Give the path of these weights in the cache; the file need not exist."""
    return cache_folder() / "assets" / weights.sha256 / weights.name


def locate(weights: Weights) -> Path:
    """Give the path of the cached file after checking its hash: unverified weights are never opened.

    Raises
    ------
    AssetError
        When the file is not in the cache or is not the pinned one.
    """
    path = path_in_cache(weights)
    if not path.is_file():
        raise AssetError(f"{weights.name} is not in the cache ({path}); `figureground doctor --fetch` fetches it")
    digest = sha256_file(path)
    if digest != weights.sha256:
        raise AssetError(
            f"{weights.name} in the cache ({path}) is damaged: expected sha256 {weights.sha256}, found {digest}; "
            "remove the file and run again"
        )
    return path
