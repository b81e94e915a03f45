"""What is wrong with a catalog, in words: the file, the line, the key, what was expected and what was found."""

import difflib
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from figureground.catalog.values import EXPECTED_BY_PATTERN
from figureground.errors import CatalogError

_SECRETS = re.compile(r"(?<=://)[^/@\s]*(?=@)|[^\s/'\"@]+:[^\s/'\"@]+(?=@)|(?<=[?&#])[^\s'\"]+")  # never shown


def keys_of(model: type[BaseModel]) -> list[str]:
    """List the keys that a part of the catalog may have."""
    return [name for name in model.model_fields if name != "folder"]


def model_at(root: type[BaseModel], path: tuple[str, ...]) -> type[BaseModel] | None:
    """Find the model of a part of the catalog by its key path.

    Parameters
    ----------
    root
        The model of the whole file.
    path
        Keys from the top: ``("sources", "park", "limits")``.

    Returns
    -------
    type or None
        None when there is no model: a plug-in's settings are checked by the plug-in.
    """
    annotation: Any = root
    for key in path:
        annotation = _below(annotation, key)
    return _model(annotation)


def _below(annotation: Any, key: str) -> Any:
    """Give the type of the value under a key of a model, mapping, list or union of them; None when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(key)
        return field.annotation if field else None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _below(arguments[0], key)
    if origin in (Union, types.UnionType):
        return next((below for part in arguments if (below := _below(part, key)) is not None), None)
    if origin is dict:
        return arguments[1]
    return arguments[0] if origin is tuple else None


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model(part)) is not None), None)


def describe(file: Path, node: yaml.Node | None, problem: Mapping[str, Any], root: type[BaseModel]) -> str:
    """Describe one problem that pydantic reports.

    Parameters
    ----------
    file
        The catalog.
    node
        Its parsed YAML, for line numbers.
    problem
        An entry of `pydantic.ValidationError.errors`.
    root
        The model of the whole file.

    Returns
    -------
    str
        ``file:line: key: expected …; found …``
    """
    path = tuple(str(part) for part in problem["loc"] if part != "[key]")
    where = f"{file}:{line_of(node, path)}: {'.'.join(path) or 'catalog'}"
    if problem["type"] == "extra_forbidden":
        model = model_at(root, path[:-1])
        allowed = keys_of(model) if model else []
        return f"{where}: unknown key{suggest(path[-1], allowed)}; allowed: {', '.join(allowed)}"
    if problem["type"] == "missing":
        return f"{where}: missing; expected a value"
    return f"{where}: {_expected(problem)}; found {_shorten(problem['input'])}"


def _expected(problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx", {})
    if problem["type"] == "string_pattern_mismatch":
        return EXPECTED_BY_PATTERN[context["pattern"]]
    if problem["type"] == "literal_error":
        return f"expected {context['expected']}"
    if problem["loc"][-1:] == ("[key]",):
        return "expected words as a name; put it in quotes"
    if problem["type"] in ("model_type", "dict_type"):
        return "expected keys with values below it"
    if problem["type"] == "tuple_type":
        return "expected a list, for example [park, jumping]"
    if problem["type"] in ("too_long", "too_short"):
        return f"expected {'exactly one' if context.get('field_type') == 'Dictionary' else 'at least one'}"
    return str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "expected", 1)


def _shorten(value: Any) -> str:
    text = _SECRETS.sub("…", repr(value)[:2000])
    return text if len(text) <= 100 else f"{text[:80]} …"


def suggest(name: str, allowed: list[str]) -> str:
    """Say which allowed name was probably meant; empty when none is similar."""
    similar = difflib.get_close_matches(name, allowed, n=1)
    return f", did you mean {similar[0]!r}?" if similar else ""


def suggest_and_list(name: str, allowed: list[str]) -> str:
    """Say which name was probably meant, and list all."""
    return f"{suggest(name, allowed)}; it has: {', '.join(allowed) or 'none'}"


def describe_syntax(error: yaml.YAMLError) -> str:
    """Say where the YAML parser stopped, why, and which slips cause it most often: ``:line: not YAML: …``."""
    mark = getattr(error, "problem_mark", None)
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    words = ", ".join(part for part in parts if part) or " ".join(str(error).split())
    hint = "Look for a missing space after ':', a tab instead of spaces, an open bracket or quote, wrong indentation"
    return f"{f':{mark.line + 1}' if mark else ''}: not YAML: {words}. {hint}"


def line_of(node: yaml.Node | None, path: tuple[str, ...]) -> int:
    """Give the line of the deepest part of a key path that the file has, counted from 1."""
    line = 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode):
            node = next((item for number, item in enumerate(node.value) if part in (str(number), item.value)), None)
            if node is None:
                break
            line = node.start_mark.line + 1
    return line


def refuse_duplicate_keys(node: yaml.Node | None, file: Path, above: str = "") -> None:
    """Refuse a key that is given twice: YAML would silently keep the last.

    Raises
    ------
    CatalogError
        With both lines.
    """
    if isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in first_lines:
                raise CatalogError(
                    f"{file}:{line}: {above}{key.value}: given twice; the first is in line {first_lines[key.value]}. Remove one"
                )
            first_lines[key.value] = line
            refuse_duplicate_keys(value, file, f"{above}{key.value}.")
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            refuse_duplicate_keys(value, file, above)
