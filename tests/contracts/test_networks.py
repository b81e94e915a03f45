"""What every network promises. A new file in figureground/networks is tested here with no other edit."""

import pytest
import torch

from figureground import networks, plugins
from tests.contracts.goldens import thumbnail

pytestmark = pytest.mark.slow  # the libraries of networks take half a minute to import on a busy machine

torch.set_num_threads(1)  # two threads that wait for each other in a busy machine take ten times as long
NAMES = plugins.names("networks")


@pytest.fixture(scope="module", params=NAMES)
def network(request):
    return plugins.build("networks", request.param, {})


def built(network, classes):
    torch.manual_seed(5)
    return network.build(classes)


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_logits_are_as_large_as_the_picture_for_every_number_of_classes(network, classes):
    module, pixels = built(network, classes).eval(), torch.rand(1, 3, 2 * networks.MULTIPLE, 3 * networks.MULTIPLE)
    with torch.inference_mode():
        logits = module(pixels)
    assert logits.shape == (1, classes, 2 * networks.MULTIPLE, 3 * networks.MULTIPLE) and logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


def test_the_same_seed_gives_the_same_weights_and_another_others(network):
    one, same = (built(network, 2).state_dict() for _ in range(2))
    torch.manual_seed(6)
    other = network.build(2).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_picture_gets_the_same_logits_alone_and_beside_others(network):
    module, pixels = built(network, 2).eval(), torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        together, alone = module(pixels)[1:2], module(pixels[1:2])
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=1e-4)


def test_every_weight_learns(network):
    module = built(network, 2)
    module(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert [name for name, weight in module.named_parameters() if weight.grad is None] == []
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())


def test_normalisation_is_inside(network):
    """A picture whose colours are all ImageNet's mean looks to the network like nothing at all."""
    module = built(network, 2).eval()
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    with torch.inference_mode():
        inner = module.network(torch.zeros(1, 3, 64, 64))
        torch.testing.assert_close(module(grey), inner["out"] if isinstance(inner, dict) else inner)


def test_its_output_is_that_of_its_version(network, golden):
    """Weights drawn from one seed, and what they give; another processor gives other digits."""
    module, pixels = built(network, 2).eval(), torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.inference_mode():
        logits = module(pixels)[0].permute(1, 2, 0).numpy()
    golden(plugins.identity(network)["plugin"], type(network).VERSION, thumbnail(logits), tolerance=0.02)
