"""Text, JSON and YAML from outside, bounded before they are parsed: by size, by nesting, and by what aliases stand for.

Whatever is wrong is a `ValueError` whose message says what; the caller adds the document's name and raises the error of its
kind. What lies in a folder from outside is a file only when it is no pipe, socket or device, and no link that leads out.
"""

import json
import logging
import reprlib
import stat
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

BYTES_AT_MOST = 1_000_000_000
NODES_AT_MOST = 1_000_000
"""Of a YAML document, an alias counted as all that it stands for: nine lines can stand for a thousand million values."""

_log = logging.getLogger(__name__)
_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip
_abridge = reprlib.Repr()
_abridge.maxlevel, _abridge.maxstring, _abridge.maxother = 3, 60, 60


def abridge(value: object) -> str:
    """Show a value from outside in a message: short, whatever its size and nesting.

    >>> abridge([[1, 2, 3], "a" * 1000])
    "[[1, 2, 3], 'aaaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaaa']"
    """
    return _abridge.repr(value)


def read_bytes(file: Path, at_most: int = BYTES_AT_MOST) -> bytes:
    """Read a whole file.

    Raises
    ------
    ValueError
        When it is larger than that, or is no ordinary file, such as a pipe, which may never end.
    OSError
        When it cannot be read.
    """
    state = file.stat()
    if not stat.S_ISREG(state.st_mode):
        raise ValueError("it is no ordinary file")
    if state.st_size > at_most:
        raise ValueError(f"it has {state.st_size:,} bytes; expected at most {at_most:,}")
    return file.read_bytes()


def describe_irregular(file: Path, root: Path | None = None) -> str:
    """Say why what lies in a folder is not read; "" when it may be. A file that is missing is left to its reader.

    Parameters
    ----------
    file
        A path that was listed, not one that the user wrote down: such a path may be a link to anywhere.
    root
        The folder that the user wrote down. A link is followed when it stays inside; None follows every link.

    Examples
    --------
    >>> describe_irregular(Path("/dev/null"))
    'a device, and no file'
    """
    try:
        if root is not None and (file.is_symlink() or file.parent != root):
            target = file.resolve()
            if not target.is_relative_to(root.resolve()):
                return f"a link that leads out of {root}, to {target}; put the file itself there, or name its own path"
        mode = file.stat().st_mode
    except RuntimeError:
        return "a link that leads to itself"
    except (OSError, ValueError):  # a name with a NUL is no name of a file
        return ""
    return next((f"{kind}, and no file" for check, kind in _SPECIAL if check(mode)), "")


def list_regular_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files below a folder whose names end so, sorted; what is not read is named in a warning."""
    files = []
    for file in sorted(file for file in folder.rglob("*") if file.suffix.lower() in suffixes):
        if reason := describe_irregular(file, folder):
            _log.warning("%s is left out: it is %s", file, reason)
        else:
            files.append(file)
    return files


def decode_lines(content: bytes) -> list[str | None]:
    r"""Give the lines of a text in UTF-8, with or without a byte-order mark; None for a line that is not UTF-8.

    >>> decode_lines("\ufeffa b\r\nc".encode()), decode_lines("é\nd".encode("latin-1"))
    (['a b', 'c'], [None, 'd'])
    """
    lines = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").split(b"\n")
    return [_decode(line) for line in (lines if lines[-1] else lines[:-1])]


def _decode(line: bytes) -> str | None:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None


def parse_json(content: bytes | str) -> Any:
    """Parse JSON; a byte-order mark is left out.

    Raises
    ------
    ValueError
        When it is no JSON, or nests too deep to be parsed.
    """
    try:
        return json.loads(content.removeprefix("\ufeff") if isinstance(content, str) else content)
    except RecursionError as error:
        raise ValueError("its lists and objects nest too deep; expected a few levels") from error


def parse_yaml(text: str) -> "tuple[yaml.Node | None, Any]":
    """Parse YAML; give its nodes, which know their lines, and its content.

    Raises
    ------
    ValueError
        When it nests too deep, an alias stands for what it is in, or aliases stand for too much.
    yaml.YAMLError
        When it is no YAML, as the parser says it.
    """
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        count = _count_nodes(node, {}) if node else 0
        if count > NODES_AT_MOST:
            raise ValueError(f"its aliases stand for {count:,} values in all; expected at most {NODES_AT_MOST:,}")
        return node, yaml.safe_load(text)
    except RecursionError as error:
        raise ValueError("its lists and mappings nest too deep; expected a few levels") from error
    except (AttributeError, TypeError, KeyError, OverflowError) as error:  # PyYAML's, for tags such as !!int "x" or !!set []
        raise ValueError(f"a value does not fit its tag: {error}") from error


def _count_nodes(node: "yaml.Node", counts: dict[int, int]) -> int:
    """Count a node and all in it; an alias is the same node again, and what is counted already is not walked again."""
    if id(node) in counts:
        if counts[id(node)] == 0:
            raise ValueError("an alias stands for a value that it is in itself")
        return counts[id(node)]
    counts[id(node)] = 0
    children = node.value if isinstance(node.value, list) else ()
    parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
    counts[id(node)] = 1 + sum(_count_nodes(part, counts) for part in parts)
    return counts[id(node)]
