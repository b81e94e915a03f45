"""Several classes painted over each other → one class a pixel.

What nobody painted is background, class 0; the others have the ids of `figureground.parsing`. Where two classes are painted
over each other, the one further down the label config's list counts: the list goes from what is worn below to what lies
above. How many pixels that decided is told, pair by pair, so that a careless annotation can be seen.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from figureground import labelling, parsing
from figureground.errors import ArrayError, CatalogError
from figureground.labelling import Interface
from figureground.masks import check_mask
from figureground.types import Mask


def resolve(
    regions: Sequence[tuple[str, Mask]], order: Sequence[str], names: Sequence[str]
) -> tuple[Mask, dict[tuple[str, str], int]]:
    """Give each pixel one class.

    Parameters
    ----------
    regions
        Label and painted mask, (h, w), uint8, 0..255: painted is at least 128. At least one; all of one size. A class may
        have several, in any order.
    order
        The labels as the config lists them: each later one lies above those before.
    names
        The classes by id, ``background`` first; all labels are among them.

    Returns
    -------
    Mask
        Shape (h, w), uint8: ids, the places in `names`.
    dict
        From two classes, the upper one last, to the pixels both were painted on; pairs without any are missing.

    Raises
    ------
    ArrayError
        When there is no region, one is of another size, or a label is unknown.

    Examples
    --------
    >>> arm, bag = np.array([[255, 255, 0]], np.uint8), np.array([[0, 255, 0]], np.uint8)
    >>> resolve([("bag", bag), ("arm", arm)], ["arm", "bag"], ["background", "bag", "arm"])
    (array([[2, 1, 0]], dtype=uint8), {('arm', 'bag'): 1})
    """
    painted = _united(regions, [label for label in order if label in names])
    resolved = np.zeros(next(iter(painted.values())).shape, np.uint8)
    for label, inside in painted.items():
        resolved[inside] = names.index(label)
    shared = {(below, above): int((painted[below] & painted[above]).sum()) for below, above in combinations(painted, 2)}
    return resolved, {pair: pixels for pair, pixels in shared.items() if pixels}


def _united(regions: Sequence[tuple[str, Mask]], order: Sequence[str]) -> dict[str, Any]:
    """Unite each class's regions, in the config's order."""
    if not regions:
        raise ArrayError("regions to resolve: expected at least one, found none")
    painted: dict[str, Any] = {}
    for label, mask in regions:
        check_mask(mask, f"region {label!r}")
        if label not in order:
            raise ArrayError(f"region {label!r}: expected one of {', '.join(order)}")
        if mask.shape != regions[0][1].shape:
            raise ArrayError(f"region {label!r}: expected the shape {regions[0][1].shape} of the others, found {mask.shape}")
        painted[label] = painted.get(label, False) | (mask >= 128)
    return {label: painted[label] for label in order if label in painted}


def names_of(interface: Interface) -> tuple[str, ...]:
    """Give the classes that a label config paints, by id, ``background`` first.

    Raises
    ------
    CatalogError
        When its labels are none of the sets of classes in `figureground.parsing`.
    """
    for names in parsing.NAMES.values():
        if set(interface.labels) == set(names[1:]):
            return names
    found = ", ".join(interface.labels)
    raise CatalogError(f"the brush labels {found} are none of the sets of classes in figureground.parsing")


def read(
    annotation: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str
) -> tuple[Mask, dict[tuple[str, str], int]]:
    """Read the parts of a person from an annotation, see `resolve`; nothing painted is all background.

    Raises
    ------
    LabelError
        As `figureground.labelling.painted`.
    CatalogError
        As `names_of`.
    """
    names, regions = names_of(interface), labelling.painted(annotation, interface, width, height, crop_id)
    return resolve(regions, interface.labels, names) if regions else (np.zeros((height, width), np.uint8), {})
