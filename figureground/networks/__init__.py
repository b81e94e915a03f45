"""Networks: what a release teaches to tell people from background, one family a file.

A network is a frozen dataclass; its fields are its size. What `build` gives keeps one convention, so that whatever trains,
scores, exports or shows a network needs to know nothing else of it:

- in goes a float32 tensor (n, 3, H, W), RGB, 0 to 1, with H and W multiples of 32; what else a network wants of its pixels
  (mean and standard deviation) is inside it, so that an export carries it along;
- out come logits (n, classes, H, W), float32, of the same H and W;
- ``classes`` is 1 for soft alpha (its sigmoid is the alpha), 2 for background and person, or as many as `parsing.NAMES` names;
  of 2 and more the softmax is taken over the second axis, and class 0 is background.

No network fetches weights: each begins at random, and a release teaches it the rest. See ``docs/baselines.md``.
"""

from typing import TYPE_CHECKING, Protocol

from figureground.plugins import Plugin

if TYPE_CHECKING:  # it takes seconds to import
    from torch import nn


class Network(Plugin, Protocol):
    """A family of networks at one size."""

    def build(self, classes: int) -> "nn.Module":
        """Give a network with random weights, in training mode.

        The weights are drawn from torch's global generator; `torch.manual_seed` before makes them the same again.

        Parameters
        ----------
        classes
            1 for soft alpha, or 2 and more for as many classes.
        """


PROTOCOL = Network
MULTIPLE = 32
"""What the sides of a picture must be a multiple of."""
