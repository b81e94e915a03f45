"""Body and clothing parts as class ids, and the published ways from many classes to few.

18 classes are ATR's (Liang et al., "Deep Human Parsing with Active Template Regression", TPAMI 2015); 5 and 2 are unions of
them. A remap is a table of 256 ids, looked up: no id is ever interpolated.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.masks import check_mask
from figureground.types import Mask

ATR = (
    "background", "hat", "hair", "sunglasses", "upper-clothes", "skirt", "pants", "dress", "belt", "left-shoe", "right-shoe",
    "face", "left-leg", "right-leg", "left-arm", "right-arm", "bag", "scarf",
)  # fmt: skip
FIVE = ("background", "head", "upper-clothes", "arms", "lower-body")
TWO = ("background", "person")
NAMES: Mapping[int, tuple[str, ...]] = {2: TWO, 5: FIVE, 18: ATR}
CIHP = (
    "background", "hat", "hair", "glove", "sunglasses", "upper-clothes", "dress", "coat", "socks", "pants", "torso-skin",
    "scarf", "skirt", "face", "left-arm", "right-arm", "left-leg", "right-leg", "left-shoe", "right-shoe",
)  # fmt: skip

Table = NDArray[np.int16]
"""Shape (256,): the new id of each old one, -1 where there is none."""


def table(names: Sequence[str], goal: Sequence[str], aliases: Mapping[str, str]) -> Table:
    """Make a remap from names.

    Parameters
    ----------
    names, goal
        The old and the new classes, by id.
    aliases
        Old name to new name, where they differ.

    Raises
    ------
    ArrayError
        For a name the goal does not have.
    """
    made = np.full(256, -1, np.int16)
    for old, name in enumerate(names):
        new = aliases.get(name, name)
        if new not in goal:
            raise ArrayError(f"class {name} (id {old}) has no place among {', '.join(goal)}; give it one")
        made[old] = list(goal).index(new)
    return made


def remap(mask: Mask, by: Table) -> Mask:
    """Give every pixel its new id.

    Parameters
    ----------
    mask
        Shape (h, w), uint8, class ids.
    by
        See `table`, `TO_FIVE`, `TO_TWO`, `CIHP_TO_ATR`.

    Raises
    ------
    ArrayError
        For an id the table does not know.

    Examples
    --------
    >>> remap(np.array([[0, 11, 16, 5]], np.uint8), TO_FIVE)
    array([[0, 1, 0, 4]], dtype=uint8)
    """
    check_mask(mask)
    there = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    unknown = [int(one) for one in there if by[one] < 0]
    if unknown:
        known = int((by >= 0).sum()) - 1
        raise ArrayError(f"mask: holds the ids {', '.join(map(str, unknown))}; expected ids 0 to {known}")
    found: Mask = by.astype(np.uint8)[mask]
    return found


_HEAD = dict.fromkeys(("hat", "hair", "sunglasses", "face", "scarf"), "head")
_LOWER = ("skirt", "pants", "dress", "belt", "left-shoe", "right-shoe", "left-leg", "right-leg")
TO_FIVE = table(
    ATR, FIVE, {**_HEAD, **dict.fromkeys(_LOWER, "lower-body"), "left-arm": "arms", "right-arm": "arms", "bag": "background"}
)
"""18 → 5 as published: a bag is background."""
TO_TWO = table(ATR, TWO, {**dict.fromkeys(ATR[1:], "person"), "bag": "background"})
"""18 → 2 as published: a bag is background."""
CIHP_TO_ATR = table(
    CIHP, ATR, {"glove": "left-arm", "coat": "upper-clothes", "socks": "left-leg", "torso-skin": "upper-clothes"}
)
"""20 → 18. CIHP does not say of gloves and socks which side they are on: they go left. A bare chest counts as clothed."""
FROM_ATR: Mapping[int, Table] = {2: TO_TWO, 5: TO_FIVE, 18: table(ATR, ATR, {})}
