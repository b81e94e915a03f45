"""Text from outside, made harmless for where it is shown: one function for each medium.

File names, titles, annotators' names and server messages are not ours. HTML is escaped by Jinja's autoescape, JSON by `json`;
these functions are for the other places.
"""

import json
import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*{}\[\]()<>#!&~|]|(?<!\w)_|_(?!\w))")  # an underscore within a word means nothing
_SURROGATE = re.compile("[\ud800-\udfff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of characters that change how the others are shown: control, format (bidi), surrogates, line ends."""


def escape_terminal(text: str) -> str:
    r"""Replace characters that a terminal obeys or cannot show by their escapes; keep line breaks and tabs.

    Examples
    --------
    >>> escape_terminal("clip\x1b[2J\u202egpj.mp4")
    'clip\\x1b[2J\\u202egpj.mp4'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) if _is_unseen(character) else character for character in text)


def escape_json(document: str) -> str:
    r"""Write what a terminal obeys as JSON's own escapes, in a document that `json.dumps` wrote; its content stays.

    Examples
    --------
    >>> escape_json('{"name": "a\u202eb"}')
    '{"name": "a\\u202eb"}'
    """
    if document.isascii():
        return document
    return "".join(_escape_in_json(character) if _is_unseen(character) else character for character in document)


def _escape_in_json(character: str) -> str:
    return json.dumps(character)[1:-1]


def escape_undecoded(text: str) -> str:
    r"""Write bytes of file names that are not UTF-8 as ``\xe9``: no table, JSON, page or terminal takes their surrogates.

    Examples
    --------
    >>> print(escape_undecoded("b\udce9.mp4"))
    b\xe9.mp4
    """
    return text if text.isascii() else _SURROGATE.sub(_escape_surrogate, text)


def _escape_surrogate(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code & 0xFF:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _is_unseen(character: str) -> bool:
    return character not in "\n\t\u200d" and unicodedata.category(character) in _UNSEEN  # U+200D joins emoji


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def escape_markdown(text: str) -> str:
    r"""Escape text so that no Markdown, HTML or table cell border in it takes effect; line breaks become spaces.

    Examples
    --------
    >>> escape_markdown("<b>[x](y)|\nz")
    '\\<b\\>\\[x\\]\\(y\\)\\| z'
    """
    return _MARKDOWN.sub(r"\\\1", escape_terminal(" ".join(text.split())))


def markdown_code(text: str) -> str:
    r"""Make a Markdown code span that may stand in a table cell, whatever backticks and bars are in the text.

    Examples
    --------
    >>> markdown_code("a|b`c")
    '``a\\|b`c``'
    """
    plain = escape_terminal(" ".join(text.split())).replace("|", "\\|")
    fence = "`" * (1 + max((len(ticks) for ticks in re.findall("`+", plain)), default=0))
    space = " " if plain[:1] == "`" or plain[-1:] == "`" or not plain else ""
    return f"{fence}{space}{plain}{space}{fence}"


def escape_csv_cell(text: str) -> str:
    """Put a quote before text that a spreadsheet would run as a formula.

    Examples
    --------
    >>> escape_csv_cell("=HYPERLINK(1)"), escape_csv_cell("park-3")
    ("'=HYPERLINK(1)", 'park-3')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text
