"""Finds a plug-in by the name of its file.

``figureground/<kind>/<name>.py`` holds one frozen dataclass. Its fields are the settings the catalog may give, and its
``VERSION`` is raised by hand when its output changes. The kind's Protocol is ``PROTOCOL`` in
``figureground/<kind>/__init__.py``. Nothing is registered anywhere.
"""

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, get_args, get_type_hints, runtime_checkable

from pydantic import TypeAdapter, ValidationError

from figureground.errors import PluginError
from figureground.types import PinnedHead, Weights

KINDS = ("detectors", "checks", "removers", "layouts", "networks")


class Plugin(Protocol):
    """What every plug-in is: a frozen dataclass with a version. The Protocol of each kind extends it."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    VERSION: ClassVar[int]
    """Raised by 1 when the output changes."""


@runtime_checkable
class HasHead(Protocol):
    """A plug-in whose output depends on a small trained head that lies beside the code."""

    HEAD: ClassVar[PinnedHead]


def names(kind: str) -> tuple[str, ...]:
    """List the plug-ins of a kind: the modules of its folder, and no packages.

    >>> "sharpness" in names("checks")
    True
    """
    package = importlib.import_module(f"figureground.{kind}")
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg))


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
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and dataclasses.is_dataclass(value)
    ]
    if len(classes) != 1 or not classes[0].__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise PluginError(
            f"{module.__name__} must hold exactly one frozen dataclass; "
            f"found {', '.join(value.__name__ for value in classes) or 'none'}"
        )
    _check_version(classes[0])
    protocol = importlib.import_module(f"figureground.{kind}").PROTOCOL
    required = [method for method in vars(protocol) if not method.startswith("_") and callable(getattr(protocol, method))]
    missing = [method for method in required if not callable(getattr(classes[0], method, None))]
    if missing:
        lacking = ", ".join(missing)
        raise PluginError(f"{module.__name__}.{classes[0].__name__} lacks {lacking}, which figureground.{kind} asks for")
    return classes[0]


def _check_version(plugin: type[Any]) -> None:
    version = vars(plugin).get("VERSION")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        expected = "expected `VERSION: ClassVar[int] = 1`, raised by 1 whenever its output changes"
        raise PluginError(f"{plugin.__module__}.{plugin.__name__} has no VERSION: {expected}; found {version!r}")


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
    values = {key: _resolve_assets(hints[key], value, assets or {}, name, key) for key, value in settings.items()}
    try:
        return TypeAdapter(plugin).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        actual = "" if first["type"].startswith("missing") else f"; found {first['input']!r}"
        problem = first["msg"].removeprefix("Value error, ")
        raise _refusal(f"{'.'.join([kind, name, *where])}: {problem}{actual}", name, *where) from error
    except PluginError as error:
        error.where = error.where or (name,)
        raise


def _resolve_assets(hint: Any, value: Any, assets: Mapping[str, Weights], plugin: str, key: str) -> Any:
    """Replace the names of assets in a setting by their weights, also in a group of settings."""
    if hint in (Weights, Weights | None):
        return asset(value, assets, plugin, key)
    group = _group(hint)
    if group is None or not isinstance(value, Mapping):
        return value
    hints = get_type_hints(group)
    if unknown := [name for name in value if name not in hints]:
        listed = _listed(unknown[0], hints)
        raise _refusal(f"{plugin}.{key} has no setting {unknown[0]!r}; it has: {listed}", plugin, key, str(unknown[0]))
    return {name: _resolve_assets(hints[name], part, assets, plugin, key) for name, part in value.items()}


def _group(hint: Any) -> type[Any] | None:
    """Give the dataclass of a setting that is a group of settings, such as ``Refinement | None``."""
    members = [member for member in get_args(hint) or (hint,) if member is not Weights]
    return next((member for member in members if isinstance(member, type) and dataclasses.is_dataclass(member)), None)


def describe(plugin: Plugin) -> dict[str, Any]:
    """Give a plug-in's name and settings as plain values, weights by their hash."""
    return {"name": type(plugin).__module__.rsplit(".", 1)[1], **dataclasses.asdict(plugin)}


def identity(plugin: Plugin, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """Give what a plug-in's output depends on: its name, version, head and settings, weights by their hash.

    Parameters
    ----------
    plugin
        The plug-in.
    leave_out
        How the names of settings begin that do not count.
    """
    kind, name = type(plugin).__module__.split(".")[-2:]
    head = plugin.HEAD if isinstance(plugin, HasHead) else None
    settings = {key: value for key, value in describe(plugin).items() if key != "name" and not key.startswith(leave_out)}
    hints = get_type_hints(type(plugin))  # a group of settings that is not given is left out: plug-ins may gain one
    settings = {key: value for key, value in settings.items() if value is not None or _group(hints[key]) is None}
    return {
        "plugin": f"{kind}.{name}",
        "version": type(plugin).VERSION,
        "head": [head.name, head.version] if head else None,
        "settings": settings,
    }


def version(kind: str, name: str) -> int:
    """Give the ``VERSION`` of a plug-in."""
    number: int = find(kind, name).VERSION
    return number


def weights(plugin: Plugin) -> tuple[Weights, ...]:
    """List the weights a plug-in needs before it can work."""
    return tuple(_weights(plugin))


def _weights(settings: Any) -> Iterator[Weights]:
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Weights):
            yield value
        elif dataclasses.is_dataclass(value):
            yield from _weights(value)


def asset(value: Any, assets: Mapping[str, Weights], plugin: str, key: str) -> Weights:
    """Find an asset by its name, with or without its extension, for a setting `key` of `plugin`.

    Raises
    ------
    PluginError
        When the catalog has none of that name, or several.
    """
    matches = [weights for name, weights in assets.items() if value in (name, name.rsplit(".", 1)[0])]
    if len(matches) != 1:
        raise _refusal(f"no asset {value!r}; the catalog's assets are: {_listed(value, assets)}", plugin, key)
    return matches[0]


def outlining(weights: Weights, plugin: str) -> Weights:
    """Give weights on, unless by their name they are no YOLO segmentation network.

    Parameters
    ----------
    weights
        What somebody's setting ``instances`` names.
    plugin
        Whose: ``removers.person``.

    Raises
    ------
    PluginError
        When they are of another kind.
    """
    if not weights.name.endswith("-seg.pt"):
        message = f"{plugin} has no instances {weights.name!r}; it takes yolo26n-seg.pt and its like"
        raise _refusal(message, plugin.rpartition(".")[2], "instances")
    return weights


def _listed(wrong: Any, allowed: Iterable[str]) -> str:
    """Give what there is and, when it looks like a slip, what was probably meant."""
    near = difflib.get_close_matches(str(wrong), list(allowed), n=1)
    return (", ".join(allowed) or "none") + (f". Did you mean {near[0]!r}?" if near else "")


def _refusal(message: str, *where: str) -> PluginError:
    return PluginError(message, where=where)
