"""One synthetic picture with its truth: everything it needs is drawn from its own seed, so it can be made alone.

Order of the work: the plate is cut and changed, shaded where people stand, people are lit like the place and painted from the
farthest to the nearest, then camera noise and JPEG go over the whole. The truth is the alpha the people were painted with.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np

from figureground import rng
from figureground.datasets.splits import Split
from figureground.synthesis import alpha_blend, placement, relighting, shadows
from figureground.synthesis import backgrounds as plates
from figureground.synthesis.alpha_blend import Blend, Layer
from figureground.synthesis.augmentations import Augmentations
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.cutouts import Cutout, Levels
from figureground.synthesis.placement import Placed, Rules, Subject
from figureground.synthesis.shadows import Light
from figureground.types import Box, Image

_AROUND = 0.25


@dataclass(frozen=True, slots=True)
class Person:
    """A prepared cutout and where it lies."""

    subject: Subject
    source: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Background:
    """A screened background and where it lies; ``horizon`` is its own, a share of the height, where somebody knows it."""

    background_id: str
    source: str
    size: Size
    file: str
    sha256: str
    horizon: float | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """What a split's pictures are made of, each list sorted by id."""

    people: tuple[Person, ...]
    backgrounds: tuple[Background, ...]


@dataclass(frozen=True, slots=True)
class ComposeSettings:
    """How pictures are made: the numbers of ``compose`` in the catalog."""

    seed: int
    size: Size
    rules: Rules
    people_at_most: int
    zoom_at_most: float
    cast: float
    contact: float
    mean: float
    contrast: float
    blend: Blend
    quality: tuple[int, int]
    augmentations: Mapping[str, Mapping[str, Mapping[str, Any] | None]] = field(default_factory=dict)


class Inputs(Protocol):
    """Gives decoded inputs; see `tasks.datasets.compose`."""

    def cutout(self, person: Person) -> Cutout:
        """Give a person."""

    def background(self, background: Background) -> Image:
        """Give a background."""


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """A picture (h, w, 3), the alpha of everybody (h, w), what is seen of each (h, w), and how it was made."""

    image: Image
    truth: Levels
    each: tuple[Levels, ...]
    people: tuple[str, ...]
    boxes: tuple[Box, ...]
    background_id: str
    seed: int
    quality: int
    recipe: dict[str, Any]


class Composer:
    """Makes pictures of one manner; the augmentations are built once."""

    def __init__(self, manner: ComposeSettings) -> None:
        self.manner = manner
        chains = manner.augmentations
        self._plates, self._people, self._wholes = (
            Augmentations(chains.get(target, {}), target) for target in ("backgrounds", "people", "composites")
        )

    def compose(self, number: int, turn: int, split: Split, pool: Pool, inputs: Inputs) -> Composite:
        """Make one picture.

        Parameters
        ----------
        number
            The picture's, from 0: with the manner's seed it decides everything that is drawn.
        turn
            How many synthetic pictures of the split come before it: every background, and every person, is used once before
            any is used twice.
        split
            The pool's, which is part of what is drawn.
        pool
            At least one person and one background.
        inputs
            Gives them decoded.
        """
        manner = self.manner
        seed = rng.derive_seed(manner.seed, "picture", number)

        def stream(of: str) -> np.random.Generator:  # its own for each, so that moving one limit leaves the rest as it was
            return rng.make_generator(manner.seed, "picture", number, of)

        background = _turn_of(pool.backgrounds, turn, manner.seed, f"backgrounds {split}")
        plate, window, flipped = self._plate(stream("plate"), background, inputs)
        rough = plates.roughness(plate)
        plate, plate_drawn = self._plates.applied(plate, seed)
        people = self._chosen(stream("people"), turn, split, pool)
        camera = placement.ground(stream("camera"), manner.rules)
        if background.horizon is not None:
            camera = placement.Ground(_horizon(background, window), camera.eye)
        light = shadows.drawn(stream("light"), manner.cast, manner.contact)
        quality = int(stream("quality").integers(manner.quality[0], manner.quality[1] + 1))
        subjects = [person.subject for person in people]
        placements = placement.placed(stream("places"), subjects, manner.size, camera, manner.rules, rough)
        cutouts = {person.subject.person_id: inputs.cutout(person) for person in people}
        layers = [alpha_blend.layer(cutouts[placed.person_id], placed, manner.size) for placed in placements]
        canvas = self._shaded(plate, layers, placements, light)
        lit = []
        for at, layer in enumerate(layers):
            layer, drawn = self._lit(layer, plate, rng.derive_seed(manner.seed, "picture", number, "person", at))
            alpha_blend.over(canvas, layer, manner.blend)
            lit.append(drawn)
        image, whole_drawn = self._wholes.applied(canvas, rng.derive_seed(manner.seed, "picture", number, "whole"))
        truth, each = alpha_blend.truths(layers, manner.size)
        recipe = {
            "background": {"window": _corners(window), "mirrored": flipped, "augmentations": plate_drawn},
            "camera": {"horizon": round(camera.horizon, 4), "eye": round(camera.eye, 3)},
            "light": asdict(light),
            "people": [
                _describe_place(placed) | {"augmentations": drawn} for placed, drawn in zip(placements, lit, strict=True)
            ],
            "augmentations": whole_drawn,
            "jpeg": quality,
        }
        boxes = tuple(alpha_blend.inside(layer) or Box(0, 0, 0, 0) for layer in layers)
        ids = tuple(placed.person_id for placed in placements)
        return Composite(image, truth, tuple(each), ids, boxes, background.background_id, seed, quality, recipe)

    def _plate(self, random: np.random.Generator, background: Background, inputs: Inputs) -> tuple[Image, Box, bool]:
        size, of = background.size, self.manner.size
        room = self.manner.rules.enlarged_at_most / plates.enlargement(size, of)
        zoom = random.uniform(1, max(1.0, min(self.manner.zoom_at_most, room)))
        window = plates.covering(size, of, zoom, random.random(), random.random())
        flipped = bool(random.random() < 0.5)
        return plates.shown(inputs.background(background), window, flipped, of), window, flipped

    def _chosen(self, random: np.random.Generator, turn: int, split: Split, pool: Pool) -> list[Person]:
        """Take the person whose turn it is, and perhaps others."""
        count = min(int(random.integers(1, self.manner.people_at_most + 1)), len(pool.people))
        first = _turn_of(pool.people, turn, self.manner.seed, f"people {split}")
        others = [person for person in pool.people if person is not first]
        beside = random.permutation(len(others))[: count - 1]
        return [first, *(others[int(at)] for at in beside)]

    def _shaded(self, plate: Image, layers: Sequence[Layer], placements: Sequence[Placed], light: Light) -> Image:
        grounded = [layer for layer, placed in zip(layers, placements, strict=True) if placed.grounded and layer.levels.size]
        if not grounded or not (light.cast or light.contact):
            return plate.copy()
        return shadows.darkened(
            plate, shadows.together([shadows.of_layer(layer, light, self.manner.size) for layer in grounded])
        )

    def _lit(self, layer: Layer, plate: Image, seed: int) -> tuple[Layer, dict[str, Any]]:
        image = relighting.matched(layer.image, layer.levels, _around(layer, plate), self.manner.mean, self.manner.contrast)
        image, drawn = self._people.applied(image, seed)
        return Layer(layer.x, layer.y, image, layer.levels), drawn


def encode_image(composite: Composite) -> bytes:
    """Write the picture as a JPEG of the quality that was drawn: the only compression it goes through."""
    bgr = cv2.cvtColor(composite.image, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, composite.quality])[1].tobytes())


def encode_alpha(levels: Levels) -> bytes:
    """Write an alpha as an 8-bit PNG."""
    return bytes(cv2.imencode(".png", levels)[1].tobytes())


def render_recipe(composite: Composite) -> str:
    """Give the recipe as one line of JSON."""
    return json.dumps(composite.recipe, sort_keys=True, separators=(",", ":"))


def _turn_of(things: Sequence[Any], turn: int, seed: int, of: str) -> Any:
    lap, at = divmod(turn, len(things))
    return things[rng.shuffle_indices(len(things), seed, of, lap)[at]]


def _around(layer: Layer, plate: Image) -> Image:
    """Give the plate where the person will stand and a little around."""
    height, width = layer.levels.shape
    dy, dx = round(height * _AROUND), round(width * _AROUND)
    return plate[max(0, layer.y - dy) : layer.y + height + dy, max(0, layer.x - dx) : layer.x + width + dx]


def _horizon(background: Background, window: Box) -> float:
    row = (background.horizon or 0.0) * background.size.height
    return float(np.clip((row - window.y0) / window.height, 0.02, 0.7))


def _corners(box: Box) -> list[float]:
    return [box.x0, box.y0, box.x1, box.y1]


def _describe_place(placed: Placed) -> dict[str, Any]:
    return {
        "id": placed.person_id,
        "box": _corners(placed.box),
        "mirrored": placed.mirrored,
        "turned": placed.turned,
        "framing": placed.framing,
    }
