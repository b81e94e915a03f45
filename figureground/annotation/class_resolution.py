"""Several classes painted over each other → one class a pixel.

Unpainted pixels are background, class 0; the others have the ids of `figureground.imaging.class_maps`. Where two classes are
painted over each other, the one further down the label config's list counts: the list goes from what is worn below to what lies
above. The pixels that this decided are counted for each pair, so that a careless annotation can be found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.annotation import annotations
from figureground.annotation.label_interface import Interface
from figureground.errors import ArrayError, CatalogError, LabelError
from figureground.imaging import class_maps, codecs
from figureground.imaging.masks import check_mask
from figureground.storage.store import Store
from figureground.tables import LabelRow
from figureground.types import Mask


def resolve(
    regions: Sequence[tuple[str, Mask]], order: Sequence[str], names: Sequence[str]
) -> tuple[Mask, dict[tuple[str, str], int]]:
    """Assign one class to each pixel.

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
    painted = _unite(regions, [label for label in order if label in names])
    resolved = np.zeros(next(iter(painted.values())).shape, np.uint8)
    for label, inside in painted.items():
        resolved[inside] = names.index(label)
    shared = {(below, above): int((painted[below] & painted[above]).sum()) for below, above in combinations(painted, 2)}
    return resolved, {pair: pixels for pair, pixels in shared.items() if pixels}


def _unite(regions: Sequence[tuple[str, Mask]], order: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Unite each class's regions, in the config's order."""
    if not regions:
        raise ArrayError("regions to resolve: expected at least one, found none")
    painted: dict[str, NDArray[np.bool_]] = {}
    for label, mask in regions:
        check_mask(mask, f"region {label!r}")
        if label not in order:
            raise ArrayError(f"region {label!r}: expected one of {', '.join(order)}")
        if mask.shape != regions[0][1].shape:
            raise ArrayError(f"region {label!r}: expected the shape {regions[0][1].shape} of the others, found {mask.shape}")
        inside: NDArray[np.bool_] = mask >= 128
        painted[label] = painted[label] | inside if label in painted else inside
    return {label: painted[label] for label in order if label in painted}


def find_class_names(interface: Interface) -> tuple[str, ...]:
    """Find the classes that a label config paints, by id, ``background`` first.

    Raises
    ------
    CatalogError
        When its labels are not one of the sets of classes in `figureground.imaging.class_maps`.
    """
    for names in class_maps.NAMES.values():
        if set(interface.labels) == set(names[1:]):
            return names
    labels = ", ".join(interface.labels)
    raise CatalogError(f"the brush labels {labels} are none of the sets of classes in figureground.imaging.class_maps")


class ResolvedClasses(NamedTuple):
    """An annotation of parts: ``ids`` (h, w) uint8, the places in ``names``; ``shared`` as `resolve` gives it."""

    ids: Mask
    names: tuple[str, ...]
    shared: Mapping[tuple[str, str], int]


def read_classes(annotation: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str) -> ResolvedClasses:
    """Read the parts of a person from an annotation, see `resolve`; nothing painted is all background.

    Raises
    ------
    LabelError
        As `figureground.annotation.annotations.read_regions`.
    CatalogError
        As `names_of`.
    """
    names, regions = find_class_names(interface), annotations.read_regions(annotation, interface, width, height, crop_id)
    if not regions:
        return ResolvedClasses(np.zeros((height, width), np.uint8), names, {})
    ids, shared = resolve(regions, interface.labels, names)
    return ResolvedClasses(ids, names, shared)


def merge_to_person(drawn: ResolvedClasses, where: str) -> Mask:
    """Merge the parts to the person they make up: (h, w) uint8, 0 or 255.

    A bag is background, as `figureground.imaging.class_maps` says.

    Parameters
    ----------
    drawn
        The parts.
    where
        The annotation, for messages.

    Raises
    ------
    LabelError
        When no pixel of a person is left.
    """
    ids = class_maps.remap(drawn.ids, class_maps.TO_TWO) if drawn.names == class_maps.ATR else np.minimum(drawn.ids, 1)
    if not ids.any():
        raise LabelError(f"{where}: kept, but no part of a person is painted; paint it or choose a reason to reject")
    whole: Mask = ids * np.uint8(255)
    return whole


def describe_overlaps(drawn: ResolvedClasses) -> list[str]:
    """Describe which classes were painted over each other.

    >>> describe_overlaps(ResolvedClasses(np.zeros((1, 1), np.uint8), ("background",), {("arm", "bag"): 12}))
    ['bag over arm: 12 px']
    """
    return [f"{above} over {below}: {pixels} px" for (below, above), pixels in sorted(drawn.shared.items())]


def encode_png(drawn: ResolvedClasses) -> bytes:
    """Encode the class ids as a single-channel 8-bit PNG."""
    return bytes(cv2.imencode(".png", drawn.ids)[1].tobytes())


def class_map_file(source_id: str, crop_id: str) -> str:
    """Name the file in the storage that holds the parts of a crop's label."""
    return f"labels/{source_id}/{crop_id}.parts.png"


def write_class_map(store: Store, source_id: str, label: LabelRow, drawn: ResolvedClasses) -> LabelRow:
    """Write the class map of a label, and give the label's row with the columns that name it.

    Raises
    ------
    StoreError
        When the storage cannot be written to.
    """
    name = class_map_file(source_id, label.crop_id)
    digest, overlaps = store.write(name, encode_png(drawn)), tuple(describe_overlaps(drawn))
    return replace(label, parts=name, parts_sha256=digest, classes=len(drawn.names), overlaps=overlaps)


def decode_png(content: bytes, classes: int, what: str = "parts") -> Mask:
    """Decode class ids.

    Parameters
    ----------
    content
        The whole file.
    classes
        How many there are; ids are below.
    what
        Names the file in a message.

    Raises
    ------
    ArrayError
        When it is no such picture or holds another id.
    """
    ids = codecs.decode_unchanged(content)
    if ids is None or ids.ndim != 2 or ids.dtype != np.uint8:
        raise ArrayError(f"{what}: expected a PNG of 8 bits and one channel")
    if ids.max() >= classes:
        raise ArrayError(f"{what}: holds the id {ids.max()}; expected 0 to {classes - 1}")
    return np.asarray(ids, np.uint8)
