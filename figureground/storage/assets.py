"""A catalog's weights as verified files in the cache. `figureground.clients.sources.fetching` fetches them."""

import os
from pathlib import Path

from platformdirs import user_cache_dir

from figureground.errors import AssetError
from figureground.storage.hashing import sha256_file
from figureground.types import Weights


def cache_folder() -> Path:
    """Give the folder that outlives checkouts: ``$FIGUREGROUND_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("FIGUREGROUND_CACHE") or user_cache_dir("figureground"))


def path_in_cache(weights: Weights) -> Path:
    """Give where a file of these weights belongs; nothing is looked at."""
    return cache_folder() / "assets" / weights.sha256 / weights.name


def locate(weights: Weights) -> Path:
    """Give the cached file after checking its hash: nothing unverified is ever opened.

    Raises
    ------
    AssetError
        When the file is not in the cache or is not the pinned one.
    """
    path = path_in_cache(weights)
    if not path.is_file():
        raise AssetError(f"{weights.name} is not in the cache ({path}); `figureground doctor --fetch` fetches it")
    found = sha256_file(path)
    if found != weights.sha256:
        raise AssetError(
            f"{weights.name} in the cache ({path}) is damaged: expected sha256 {weights.sha256}, found {found}; "
            "remove the file and run again"
        )
    return path
