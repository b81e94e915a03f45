"""Reading a catalog from a YAML file, and writing one for another folder."""

import os
from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from figureground import documents, extras
from figureground.catalog.messages import describe, describe_syntax, keys_of, line_of, refuse_duplicate_keys
from figureground.catalog.schema import Catalog
from figureground.catalog.values import absolute_path
from figureground.errors import CatalogError, PluginError

_BYTES_AT_MOST = 10_000_000


@cache
def _parse_defaults() -> dict[str, Any]:
    text = (resources.files("figureground.catalog") / "defaults.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def defaults() -> dict[str, Any]:
    """Give the packaged recipe and the packaged weights with their hashes: what a catalog that names none uses.

    Returns
    -------
    dict
        ``assets`` and ``recipe``, as in a catalog; a new copy each time.
    """
    return deepcopy(_parse_defaults())


def load(path: Path, *, build_plugins: bool = True) -> Catalog:
    """Read and check a catalog.

    What the catalog does not say comes from the packaged `defaults`: the whole recipe when it has none, and each asset whose
    name it does not use itself.

    Parameters
    ----------
    path
        The YAML file.
    build_plugins
        Also build every plug-in it names, to see that they take their settings; that imports what they need.

    Returns
    -------
    Catalog
        Every plug-in it names exists and takes the settings given.

    Raises
    ------
    CatalogError
        With the file, the line, the key, what was found and what is allowed.
    MissingPackageError
        When a source, the storage, the cluster or ``compose`` needs an extra that is not installed.
    """
    node, content = _parse(path)
    packaged = defaults()
    given_assets = content.get("assets", {})
    assets = packaged["assets"] | given_assets if isinstance(given_assets, dict) else given_assets
    recipe = content.get("recipe", packaged["recipe"])
    try:
        catalog = Catalog.model_validate({**content, "assets": assets, "recipe": recipe, "folder": path.resolve().parent})
    except ValidationError as error:
        raise CatalogError("\n".join(describe(path, node, problem, Catalog) for problem in error.errors())) from error
    _require_extras(catalog)
    for build, keys in _plugin_builders(catalog) if build_plugins else ():
        try:
            build()
        except PluginError as error:
            where = (*keys, *error.where)
            raise PluginError(f"{path}:{line_of(node, where)}: {'.'.join(where)}: {error}") from error
    return catalog


def _parse(path: Path) -> tuple[yaml.Node | None, dict[str, Any]]:
    try:
        text = documents.read_bytes(path, _BYTES_AT_MOST).decode("utf-8")
    except (OSError, ValueError) as error:
        raise CatalogError(
            f"{path}: cannot read the catalog ({error}). Expected a YAML file; give it with --catalog FILE, "
            "or run in the folder that has data_catalog.yaml"
        ) from error
    try:
        node, content = documents.parse_yaml(text)
    except yaml.YAMLError as error:
        raise CatalogError(f"{path}{describe_syntax(error)}") from error
    except ValueError as error:
        raise CatalogError(f"{path}: {error}") from error
    refuse_duplicate_keys(node, path)
    allowed = ", ".join(keys_of(Catalog))
    if not isinstance(content, dict):
        raise CatalogError(f"{path}: expected a mapping with the keys {allowed}; found {documents.abridge(content)}")
    if "folder" in content:
        raise CatalogError(f"{path}:{line_of(node, ('folder',))}: folder: unknown key; allowed: {allowed}")
    return node, content


def _require_extras(catalog: Catalog) -> None:
    """Refuse a catalog that needs packages which are not installed."""
    if catalog.storage.startswith("s3://"):
        extras.require("s3", f"storage: {catalog.storage}")
    if catalog.cluster:
        extras.require("cluster", "runner: dask")
    if catalog.compose:
        extras.require("train", "compose")
    for name, entry in catalog.sources.items():
        if entry.kind == "web":
            extras.require("web", f"sources.{name}: kind: web")
        if entry.path.startswith("s3://"):
            extras.require("s3", f"sources.{name}: {entry.path}")


def _plugin_builders(catalog: Catalog) -> list[tuple[Callable[[], Any], tuple[str, ...]]]:
    """List what builds each plug-in that the catalog names, with its key path."""
    own_detector = catalog.compose and catalog.compose.detector
    datasets = [name for name, entry in catalog.sources.items() if entry.layout]
    return [
        (catalog.detector, ("recipe", "detector")),
        (catalog.face_weights, ("recipe", "crop")),
        (catalog.instance_weights, ("recipe",)),
        (catalog.checks, ("recipe", "checks")),
        (catalog.remover, ("recipe", "remover")),
        (catalog.layouts, ("releases", "layouts")),
        (catalog.background_detector, ("compose", "detector") if own_detector else ("recipe", "detector")),
        (catalog.composite_layouts, ("compose", "layouts")),
        *((partial(catalog.dataset, name), ("sources", name, "layout")) for name in datasets),
    ]


def render_for_folder(catalog: Catalog, folder: Path, *, url: str, project: str, note: str) -> str:
    """Write a catalog for another folder: the same sources and recipe, a storage, project and releases of its own.

    Parameters
    ----------
    catalog
        Its relative paths start in its own folder.
    folder
        Where the text will stand.
    url, project, note
        Label Studio's address and project, and the releases' note.

    Returns
    -------
    str
        YAML that `load` reads.
    """
    content = catalog.model_dump(mode="json", exclude={"folder", "storage_options", "local_folder", "compose"})
    for entry in content["sources"].values():
        entry["path"] = absolute_path(entry["path"], catalog.folder)
    for entry in content["assets"].values():
        entry["path"] = [absolute_path(path, catalog.folder) for path in entry["path"]]
    content["recipe"]["sample"] = catalog.recipe.sample.model_dump(exclude_none=True)
    content["storage"] = "data"
    content["label_studio"] |= {"url": url, "project": project}
    if catalog.own_label_config:
        content["label_studio"]["label_config"] = os.path.relpath(catalog.label_config_file, folder)
    content["releases"]["note"] = note
    return "# Written by `figureground demo`.\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
