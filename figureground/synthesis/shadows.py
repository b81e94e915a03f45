"""Shadows on the ground, from the alpha of who casts them; one light for everybody in the picture.

A cast shadow is the alpha laid flat by a shear towards where the light does not come from (Blinn, "Me and My (Fake) Shadow",
IEEE Computer Graphics and Applications, 1988). It is sharp at the feet and softer the farther away what casts it is, as an area
light makes it (Fernando, "Percentage-Closer Soft Shadows", SIGGRAPH 2005 sketches). A contact shadow is the light that the feet
keep from the ground next to them: ambient occlusion, here the lowest rows of the alpha, flattened and blurred.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.synthesis.alpha_blend import Layer
from figureground.synthesis.backgrounds import Size
from figureground.types import Image

Shade = NDArray[np.float32]
"""Shape (h, w), 0 (none) to 1 (no light left), at a quarter of the picture's size."""

_COARSE = 4
_FORESHORTENED = 0.3
"""How much shorter a length on the ground looks along the line of sight: a camera that looks down by about 17°."""
_FLATTEST = 0.15
"""A shadow exactly along the picture's rows would have no width: bodies are no paper."""
_AT_THE_FEET = 0.07


@dataclass(frozen=True, slots=True)
class Light:
    """One light: where its shadows fall and how strong they are.

    ``azimuth`` is the direction shadows fall on the ground in degrees: 0 to the right, 90 away from the camera, 180 to the
    left, 270 towards it. ``elevation`` is the light's height over the ground in degrees; ``softness`` 0 (a point) to 1 (an
    overcast sky). ``cast`` and ``contact`` are the shares of light taken away in the darkest part, 0..1.
    """

    azimuth: float
    elevation: float
    softness: float
    cast: float
    contact: float


def drawn(random: np.random.Generator, cast: float, contact: float) -> Light:
    """Draw a light; the strengths are the most that may be taken away."""
    azimuth, elevation, softness = random.uniform(0, 360), random.uniform(28, 65), random.uniform(0.1, 1)
    softer = 1 - 0.6 * softness
    weaker = random.uniform(0.5, 1)
    numbers = azimuth, elevation, softness, cast * softer * weaker, contact * weaker
    return Light(*(float(round(number, 4)) for number in numbers))


def of_layer(layer: Layer, light: Light, size: Size) -> Shade:
    """Give the shade that one person who stands on the ground leaves there.

    Parameters
    ----------
    layer
        The person; its lowest opaque row is where it stands.
    light
        The picture's.
    size
        The picture's.

    Returns
    -------
    Shade
        A quarter of the picture's size, rounded up.
    """
    alpha = _coarse(layer, size)
    rows = np.flatnonzero((alpha >= 0.5).any(1))
    if not len(rows):
        return np.zeros_like(alpha)
    feet, tall = int(rows[-1]) + 1, int(rows[-1]) + 1 - int(rows[0])
    lost = 1 - (1 - light.cast * _cast(alpha, feet, tall, light)) * (1 - light.contact * _contact(alpha, feet, tall))
    return np.asarray(lost, np.float32)


def together(shades: list[Shade]) -> Shade:
    """Give the shade of everybody: what one left of the light the next may take."""
    left: Shade = np.ones(shades[0].shape, np.float32)
    for shade in shades:
        left *= 1 - shade
    return np.asarray(np.float32(1) - left, np.float32)


def darkened(plate: Image, shade: Shade) -> Image:
    """Take away a plate's light where there is shade."""
    left = cv2.resize(1 - shade, (plate.shape[1], plate.shape[0]), interpolation=cv2.INTER_LINEAR)
    rows = np.flatnonzero((left < 0.998).any(1))
    shaded: Image = plate.copy()
    if len(rows):
        band = slice(int(rows[0]), int(rows[-1]) + 1)
        factor = cv2.merge([left[band]] * 3)
        shaded[band] = cv2.multiply(plate[band], factor, dtype=cv2.CV_8U)
    return shaded


def _coarse(layer: Layer, size: Size) -> Shade:
    """Give the alpha at a quarter of the size."""
    wide, high = -(-size.width // _COARSE), -(-size.height // _COARSE)
    whole = np.zeros((high * _COARSE, wide * _COARSE), np.uint8)
    whole[layer.window] = layer.levels
    small = np.asarray(cv2.resize(whole, (wide, high), interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(small / np.float32(255), np.float32)


def _cast(alpha: Shade, feet: int, tall: int, light: Light) -> Shade:
    """Lay the alpha flat: what is z above the feet falls z / tan(elevation) away from them."""
    reach = 1 / np.tan(np.radians(light.elevation))
    across = reach * np.cos(np.radians(light.azimuth))
    away = reach * np.sin(np.radians(light.azimuth)) * _FORESHORTENED
    away = float(np.copysign(max(abs(away), _FLATTEST), away))
    averaged = cv2.blur(alpha, (1, 2 * round(0.5 / abs(away)) + 1))  # so many rows become one
    matrix = np.array([[1, -across, across * feet], [0, away, feet * (1 - away)]], np.float32)
    size = alpha.shape[1], alpha.shape[0]
    flat = cv2.warpAffine(averaged, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    near = cv2.GaussianBlur(flat, (0, 0), 0.4 + 0.012 * tall * light.softness)
    far = cv2.GaussianBlur(flat, (0, 0), 0.6 + 0.1 * tall * light.softness)
    height = np.abs(np.arange(alpha.shape[0], dtype=np.float32) - feet + 0.5) / (abs(away) * tall)
    share = np.clip(height, 0, 1)[:, None]
    return np.asarray(near * (1 - share) + far * share * (1 - 0.5 * share), np.float32)


def _contact(alpha: Shade, feet: int, tall: int) -> Shade:
    """Flatten the lowest rows into a soft strip around where the feet stand."""
    high = max(2, round(_AT_THE_FEET * tall))
    strip = alpha[max(0, feet - high) : feet].max(axis=0)
    thick = max(1, round(0.012 * tall))
    lying = np.zeros_like(alpha)
    lying[max(0, feet - 1 - thick) : feet + thick] = strip
    wide = max(0.6, 0.02 * tall)
    soft = cv2.GaussianBlur(lying, (0, 0), sigmaX=wide, sigmaY=max(0.5, 0.4 * wide))
    return np.asarray(soft / max(float(soft.max()), 1e-6) * float(strip.max()), np.float32)
