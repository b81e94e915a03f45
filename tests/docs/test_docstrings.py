"""Docstrings name the parameters that there are: a rename that forgets one fails here."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEXT = re.compile(r"\n\n(?=[A-Z][\w ]*\n-+\n|>>> )")


def documented(docstring: str) -> list[str]:
    """The names of the section Parameters."""
    section = re.search(r"Parameters\n-{3,}\n(.*)", docstring, re.DOTALL)
    if section is None:
        return []
    lines = NEXT.split(section[1])[0].splitlines()
    return [name.strip().strip("*") for line in lines if line and not line.startswith(" ") for name in line.split(",")]


def test_every_documented_parameter_exists() -> None:
    wrong = []
    for room in ("figureground", "tasks", "flows"):
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                    continue
                made = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
                function = node if isinstance(node, ast.FunctionDef) else next(iter(made), None)
                names = documented(ast.get_docstring(node) or "")
                if function is None or not names:
                    continue
                given = function.args
                some = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
                there = {argument.arg for argument in some if argument}
                wrong += [f"{file.relative_to(ROOT)}:{node.lineno}: {name}" for name in names if name not in there]
    assert wrong == []
