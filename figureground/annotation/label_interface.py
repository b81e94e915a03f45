"""What a label config asks for: read from Label Studio's XML and checked before anything is pushed.

Every prediction that is sent and every annotation that comes back is compared with the `Interface`.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import defusedxml
import defusedxml.ElementTree

from figureground.errors import CatalogError
from figureground.imaging import class_maps

PERSON = "person"
KEEP = "keep"
BRUSH, BITMASK = "brushlabels", "bitmasklabels"
MASK_TAGS = {BRUSH: "BrushLabels", BITMASK: "BitmaskLabels"}
_KINDS = {"brush": BRUSH, "bitmask": BITMASK}


@dataclass(frozen=True, slots=True)
class Interface:
    """What a label config asks for.

    ``image`` and ``value`` are the image's tag and the key of its URL in a task's data; ``brush`` is the brush's tag
    with its ``labels``; ``choices`` are the questions with their allowed answers, ``several`` those with many answers.
    ``kind`` says how masks are stored: as ``brushlabels`` or ``bitmasklabels``.
    """

    image: str
    value: str
    brush: str
    labels: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]]
    several: frozenset[str]
    kind: str = BRUSH


def load_interface(file: Path, mask: str) -> tuple[Interface, str]:
    """Read a label config that asks for a person, or for a known set of a person's parts.

    Parameters
    ----------
    file
        The label config.
    mask
        How masks are stored: ``brush`` or ``bitmask``, as the catalog's ``label_studio.mask``.

    Returns
    -------
    Interface, str
        What it asks for, and its XML with the tag for that kind of mask.

    Raises
    ------
    CatalogError
        When the file cannot be read or does not ask for what the tables need.
    """
    try:
        xml = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"label_studio.label_config: cannot read {file}: {error}; give a label config's path") from error
    xml = set_mask_kind(xml, _KINDS[mask])
    interface = parse_interface(xml, str(file))
    if not any(set(interface.labels) == set(names[1:]) for names in class_maps.NAMES.values()):
        interface = parse_person_interface(xml, str(file))
    return interface, xml


def parse_person_interface(xml: str, where: str) -> Interface:
    """Parse a label config that asks for a person.

    Parameters
    ----------
    xml
        The config.
    where
        Its file, for messages.

    Raises
    ------
    CatalogError
        When it is not XML, or lacks the one image, the one brush with the label ``person``, or the question
        ``verdict`` with the answer ``keep``.
    """
    interface = parse_interface(xml, where)
    if PERSON not in interface.labels:
        raise CatalogError(f"{where}: BrushLabels needs the label {PERSON!r}; it has: {', '.join(interface.labels) or 'none'}")
    return interface


def parse_interface(xml: str, where: str) -> Interface:
    """Parse a label config with any brush labels, for example the parts of a person.

    Raises
    ------
    CatalogError
        As `parse_person_interface`, except for the label ``person``.
    """
    try:
        root = defusedxml.ElementTree.fromstring(xml)
    except (ElementTree.ParseError, defusedxml.DefusedXmlException) as error:
        raise CatalogError(f"{where}: the label config is not XML, or not plain XML: {error}") from error
    image, brush = _single(root, where, "Image"), _single(root, where, *MASK_TAGS.values())
    labels = _options(brush, "Label")
    questions = {tag.get("name", ""): tag for tag in root.iter("Choices")}
    choices = {name: _options(tag, "Choice") for name, tag in questions.items()}
    if KEEP not in choices.get("verdict", ()):
        raise CatalogError(f'{where}: needs <Choices name="verdict"> with the choice {KEEP!r}')
    for name, tag in {brush.get("name", ""): brush, **questions}.items():
        if not name or tag.get("toName") != image.get("name"):
            raise CatalogError(f"{where}: {tag.tag} {name!r} needs a name, and toName={image.get('name')!r}")
    several = frozenset(name for name, tag in questions.items() if tag.get("choice") == "multiple")
    value = image.get("value", "").removeprefix("$")
    return Interface(image.get("name", ""), value, brush.get("name", ""), labels, choices, several, brush.tag.lower())


def _single(root: ElementTree.Element, where: str, *tags: str) -> ElementTree.Element:
    elements = [element for element in root.iter() if element.tag in tags]
    if len(elements) != 1:
        raise CatalogError(f"{where}: needs exactly one {' or '.join(f'<{tag}>' for tag in tags)}; found {len(elements)}")
    return elements[0]


def set_mask_kind(xml: str, kind: str) -> str:
    """Change how a label config stores masks: as `BRUSH` or `BITMASK`. The rest stays as it is.

    >>> set_mask_kind('<BrushLabels name="person"></BrushLabels>', BITMASK)
    '<BitmaskLabels name="person"></BitmaskLabels>'
    """
    return re.sub(rf"(</?)(?:{'|'.join(MASK_TAGS.values())})\b", rf"\g<1>{MASK_TAGS[kind]}", xml)


def _options(parent: ElementTree.Element, tag: str) -> tuple[str, ...]:
    """List the names that results carry: the alias where there is one."""
    return tuple(child.get("alias") or child.get("value") or "" for child in parent.iter(tag))


def same_interface(first: str, second: str) -> bool:
    """Tell whether two label configs are the same apart from comments and white space.

    >>> same_interface("<View> <!-- old --> </View>", "<View/>")
    True
    """
    return _canonical(first) == _canonical(second)


def _canonical(xml: str) -> str:
    try:
        return ElementTree.canonicalize(xml, strip_text=True)
    except ElementTree.ParseError:
        return xml
