"""Body and clothing parts as class ids, and the published ways from many classes to few.

18 classes are ATR's (Liang et al., "Deep Human Parsing with Active Template Regression", TPAMI 2015); 5 and 2 are unions of
them. A remap is a table of 256 ids, looked up: no id is ever interpolated.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.imaging.masks import check_mask
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
CCP = (
    "null", "accessories", "bag", "belt", "blazer", "blouse", "bodysuit", "boots", "bra", "bracelet", "cape", "cardigan",
    "clogs", "coat", "dress", "earrings", "flats", "glasses", "gloves", "hair", "hat", "heels", "hoodie", "intimate", "jacket",
    "jeans", "jumper", "leggings", "loafers", "necklace", "panties", "pants", "pumps", "purse", "ring", "romper", "sandals",
    "scarf", "shirt", "shoes", "shorts", "skin", "skirt", "sneakers", "socks", "stockings", "suit", "sunglasses", "sweater",
    "sweatshirt", "swimwear", "t-shirt", "tie", "tights", "top", "vest", "wallet", "watch", "wedges",
)  # fmt: skip
"""Clothing Co-Parsing: Yang, Luo, Lin, "Clothing Co-Parsing by Joint Image Segmentation and Labeling", CVPR 2014."""

_CIHP = {"glove": "left-arm", "coat": "upper-clothes", "socks": "left-leg", "torso-skin": "upper-clothes"}
_CCP = {
    "null": "background", "glasses": "sunglasses", "earrings": "face", "skin": "face", "necklace": "scarf",
    **dict.fromkeys(("purse", "wallet"), "bag"),
    **dict.fromkeys(("bracelet", "gloves", "ring", "watch"), "left-arm"),
    **dict.fromkeys(("leggings", "socks", "stockings", "tights"), "left-leg"),
    **dict.fromkeys(("jeans", "panties", "shorts"), "pants"),
    **dict.fromkeys(("romper", "bodysuit", "swimwear", "intimate"), "dress"),
    **dict.fromkeys(
        ("boots", "clogs", "flats", "heels", "loafers", "pumps", "sandals", "shoes", "sneakers", "wedges"), "left-shoe"
    ),
    **dict.fromkeys(
        (
            "accessories", "blazer", "blouse", "bra", "cape", "cardigan", "coat", "hoodie", "jacket", "jumper", "shirt", "suit",
            "sweater", "sweatshirt", "t-shirt", "tie", "top", "vest",
        ), "upper-clothes"
    ),
}  # fmt: skip

PUBLISHED: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "person": (TWO, {}),
    "atr": (ATR, {}),
    "cihp": (CIHP, _CIHP),
    "ccp": (CCP, _CCP),
}
"""The classes of published datasets by id, and what those are called among the 18 that the 18 have not."""

Table = NDArray[np.int16]
"""Shape (256,): the new id of each old one, -1 where there is none."""


def table(names: Sequence[str] | Mapping[int, str], goal: Sequence[str], aliases: Mapping[str, str]) -> Table:
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
    table = np.full(256, -1, np.int16)
    for old, name in names.items() if isinstance(names, Mapping) else enumerate(names):
        new = aliases.get(name, name)
        if new not in goal:
            raise ArrayError(f"class {name} (id {old}) has no place among {', '.join(goal)}; give it one")
        table[old] = list(goal).index(new)
    return table


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
    unknown = [int(class_id) for class_id in there if by[class_id] < 0]
    if unknown:
        raise ArrayError(
            f"mask: holds the ids {', '.join(map(str, unknown))}; expected ids 0 to {np.flatnonzero(by >= 0).max()}"
        )
    remapped: Mask = by.astype(np.uint8)[mask]
    return remapped


def reading(classes: str | Mapping[int, str], own: Mapping[str, str]) -> tuple[Table, tuple[str, ...]]:
    """Make the remap for another dataset's ids: to the 18 classes, or to person and background where it has no parts.

    Parameters
    ----------
    classes
        One of `PUBLISHED`, or the name of each id.
    own
        Name to name, for names that the goal has not, or which shall mean something else.

    Returns
    -------
    tuple
        The remap, and the goal's names: `ATR` or `TWO`.

    Raises
    ------
    ArrayError
        For a dataset that is not known, or a name that has no place.

    Examples
    --------
    >>> by, goal = reading({0: "background", 255: "human"}, {"human": "person"})
    >>> int(by[255]), goal
    (1, ('background', 'person'))
    """
    if isinstance(classes, str) and classes not in PUBLISHED:
        raise ArrayError(f"no classes {classes!r} are known; known: {', '.join(PUBLISHED)}. Or give the name of each id")
    names, aliases = PUBLISHED[classes] if isinstance(classes, str) else (classes, {})
    named = dict(names) if isinstance(names, Mapping) else dict(enumerate(names))
    if unknown := sorted(set(own) - set(named.values())):
        raise ArrayError(f"remap: there is no class {', '.join(unknown)}; there are: {', '.join(named.values())}")
    called = {**aliases, **own}
    goal = TWO if {called.get(name, name) for name in named.values()} <= set(TWO) else ATR
    return table(named, goal, called), goal


_HEAD = dict.fromkeys(("hat", "hair", "sunglasses", "face", "scarf"), "head")
_LOWER = ("skirt", "pants", "dress", "belt", "left-shoe", "right-shoe", "left-leg", "right-leg")
TO_FIVE = table(
    ATR, FIVE, {**_HEAD, **dict.fromkeys(_LOWER, "lower-body"), "left-arm": "arms", "right-arm": "arms", "bag": "background"}
)
"""18 → 5 as published: a bag is background."""
TO_TWO = table(ATR, TWO, {**dict.fromkeys(ATR[1:], "person"), "bag": "background"})
"""18 → 2 as published: a bag is background."""
CIHP_TO_ATR = table(CIHP, ATR, _CIHP)
"""20 → 18. CIHP does not say of gloves and socks which side they are on: they go left. A bare chest counts as clothed."""
CCP_TO_ATR = table(CCP, ATR, _CCP)
"""59 → 18. CCP has one class for all skin, which goes to the face, and one for both shoes, which go left."""
FROM_ATR: Mapping[int, Table] = {2: TO_TWO, 5: TO_FIVE, 18: table(ATR, ATR, {})}
