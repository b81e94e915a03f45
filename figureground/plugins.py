"""Finds a plug-in by the name of its file.

``figureground/<kind>/<name>.py`` holds one frozen dataclass; its fields are the settings the catalog may give. The
kind's Protocol stands in ``figureground/<kind>/__init__.py`` as ``PROTOCOL``. Nothing is registered anywhere.
"""

import ast
import dataclasses
import difflib
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from figureground.errors import PluginError
from figureground.types import Weights

KINDS = ("detectors", "checks", "removers", "layouts", "networks")

_parsing = threading.Lock()
"""CPython before 3.11.9 counts the depth of all threads' trees together: two that parse at once end in a SystemError."""


def names(kind: str) -> tuple[str, ...]:
    """List the plug-ins of a kind.

    >>> "sharpness" in names("checks")
    True
    """
    package = importlib.import_module(f"figureground.{kind}")
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


@cache
def find(kind: str, name: str) -> type[Any]:
    """Find a plug-in's class.

    Parameters
    ----------
    kind
        One of `KINDS`.
    name
        The file's name without ``.py``.

    Raises
    ------
    PluginError
        When there is no such file, it does not hold exactly one frozen dataclass, or that lacks what its kind asks for.
    """
    if name not in names(kind):
        raise _refusal(f"figureground.{kind} has no {name!r}; it has: {_listed(name, names(kind))}", name)
    module = importlib.import_module(f"figureground.{kind}.{name}")
    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type) and thing.__module__ == module.__name__ and dataclasses.is_dataclass(thing)
    ]
    if len(found) != 1 or not found[0].__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise PluginError(
            f"{module.__name__} must hold exactly one frozen dataclass; "
            f"found {', '.join(thing.__name__ for thing in found) or 'none'}"
        )
    protocol = importlib.import_module(f"figureground.{kind}").PROTOCOL
    asked = [method for method in vars(protocol) if not method.startswith("_") and callable(getattr(protocol, method))]
    missing = [method for method in asked if not callable(getattr(found[0], method, None))]
    if missing:
        lacking = ", ".join(missing)
        raise PluginError(f"{module.__name__}.{found[0].__name__} lacks {lacking}, which figureground.{kind} asks for")
    return found[0]


def build(kind: str, name: str, settings: Mapping[str, Any], assets: Mapping[str, Weights] | None = None) -> Any:
    """Make a plug-in from a catalog's settings.

    Parameters
    ----------
    kind, name
        Which plug-in, see `find`.
    settings
        Its fields. A field of type `Weights` is given as an asset's name, with or without its extension.
    assets
        The catalog's assets by name.

    Returns
    -------
    object
        The frozen dataclass.

    Raises
    ------
    PluginError
        For an unknown or missing field, a value of the wrong type or range, or an asset the catalog does not have.
    """
    plugin = find(kind, name)
    fields = {field.name: field for field in dataclasses.fields(plugin)}
    unknown = [key for key in settings if key not in fields]
    if unknown:
        raise _refusal(f"{kind}.{name} has no setting {unknown[0]!r}; it has: {_listed(unknown[0], fields)}", name, unknown[0])
    hints = get_type_hints(plugin)
    values = {
        key: asset(value, assets or {}, name, key) if hints[key] in (Weights, Weights | None) else value
        for key, value in settings.items()
    }
    try:
        return TypeAdapter(plugin).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        found = "" if first["type"].startswith("missing") else f"; found {first['input']!r}"
        said = first["msg"].removeprefix("Value error, ")
        raise _refusal(f"{'.'.join([kind, name, *where])}: {said}{found}", name, *where) from error
    except PluginError as error:
        error.where = error.where or (name,)
        raise


def describe(plugin: Any) -> dict[str, Any]:
    """Give a plug-in's settings as plain values, weights by their hash: what a fingerprint needs."""
    return {"name": type(plugin).__module__.rsplit(".", 1)[1], **dataclasses.asdict(plugin)}


def code(plugin: Any) -> str:
    """Hash the text of a plug-in's file and of every module of figureground it leans on, at any remove.

    What a plug-in makes depends on more than its own file: a change in `figureground.imaging.masks` changes a remover's mattes.
    Imports inside functions count too; other packages do not, their versions are the lock file's.

    Returns
    -------
    str
        64 hexadecimal digits; reading a dozen files takes 30 ms, once a process.

    Raises
    ------
    PluginError
        When the plug-in was not read from a file.
    """
    return _code(type(plugin).__module__)


@cache
def _code(module: str) -> str:
    with _parsing:
        texts = {one: _text(one) for one in _leans_on(module)}
    return hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()


def _leans_on(module: str) -> tuple[str, ...]:
    """List a module and the modules of this package that it imports, and those they import, and so on."""
    found, waiting = set(), [module]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += _imported(one)
    return tuple(sorted(found))


def _imported(module: str) -> Iterator[str]:
    package = __name__.split(".")[0]
    for node in ast.walk(ast.parse(_text(module))):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        yield from (name for name in named if name.startswith(f"{package}.") and _is_module(name))


@cache
def _is_module(name: str) -> bool:
    """Tell a module from a class in one; nothing but packages is imported for it."""
    above = importlib.util.find_spec(name.rpartition(".")[0])
    return bool(above and above.submodule_search_locations) and importlib.util.find_spec(name) is not None


def _text(module: str) -> str:
    found = sys.modules.get(module) or importlib.util.find_spec(module)
    file = getattr(found, "__file__", None) or getattr(found, "origin", None)
    if not file:
        raise PluginError(f"{module} has no file whose text could be hashed; expected figureground/<kind>/<name>.py")
    return Path(file).read_text(encoding="utf-8")


def weights(plugin: Any) -> tuple[Weights, ...]:
    """List the weights a plug-in needs before it can work."""
    values = (getattr(plugin, field.name) for field in dataclasses.fields(plugin))
    return tuple(value for value in values if isinstance(value, Weights))


def asset(value: Any, assets: Mapping[str, Weights], plugin: str, key: str) -> Weights:
    """Find an asset by its name, with or without its extension, for a setting `key` of `plugin`.

    Raises
    ------
    PluginError
        When the catalog has none of that name, or several.
    """
    matches = [found for name, found in assets.items() if value in (name, name.rsplit(".", 1)[0])]
    if len(matches) != 1:
        raise _refusal(f"no asset {value!r}; the catalog's assets are: {_listed(value, assets)}", plugin, key)
    return matches[0]


def outlining(found: Weights, who: str) -> Weights:
    """Give weights on, unless by their name they are no YOLO segmentation network.

    Parameters
    ----------
    found
        What somebody's setting ``instances`` names.
    who
        Whose: ``removers.person``.

    Raises
    ------
    PluginError
        When they are of another kind.
    """
    if not found.name.endswith("-seg.pt"):
        message = f"{who} has no instances {found.name!r}; it takes yolo26n-seg.pt and its like"
        raise _refusal(message, who.rpartition(".")[2], "instances")
    return found


def _listed(found: Any, allowed: Iterable[str]) -> str:
    """Give what there is and, when it looks like a slip, what was probably meant."""
    near = difflib.get_close_matches(str(found), list(allowed), n=1)
    return (", ".join(allowed) or "none") + (f". Did you mean {near[0]!r}?" if near else "")


def _refusal(message: str, *where: str) -> PluginError:
    return PluginError(message, where=where)
