"""A checkpoint comes back as it was written, and a bit changed anywhere is noticed."""

import json

import pytest
import torch

from figureground import plugins
from figureground.errors import AssetError
from figureground.training import checkpoints
from figureground.training.checkpoints import Card, TrainedOn

pytestmark = pytest.mark.slow  # the libraries of networks take half a minute to import on a busy machine

TRAINED_ON = TrainedOn(release="CustomSeg_Person_20260101_x", digest="0" * 64, layout="mmseg_custom", pictures={"train": 3})
CARD = Card(
    network="segresnet", settings={"width": 8}, classes=2, names=("background", "person"), side=64, trained_on=TRAINED_ON
)


@pytest.fixture
def written(tmp_path):
    torch.manual_seed(3)
    module = plugins.build("networks", "segresnet", {"width": 8}).build(2)
    card = checkpoints.write(tmp_path / "model", CARD, module.state_dict(), {"curve.svg": b"<svg/>"})
    return tmp_path / "model", module, card


def test_a_checkpoint_is_read_back_unchanged(written):
    folder, module, card = written
    found, same = checkpoints.load(folder)
    assert same == card == CARD.model_copy(update={"weights": card.weights, "digest": card.digest})
    assert not found.training
    assert all(torch.equal(weights, found.state_dict()[name]) for name, weights in module.state_dict().items())
    assert sorted(file.name for file in folder.iterdir()) == ["curve.svg", "model.json", "weights.safetensors"]
    assert [file.name for file in folder.parent.iterdir()] == ["model"]


def test_a_checkpoint_is_never_overwritten(written):
    folder, module, _ = written
    with pytest.raises(AssetError, match="exists and is never changed"):
        checkpoints.write(folder, CARD, module.state_dict())


@pytest.mark.parametrize("at", [0.001, 0.5, 0.999])
def test_a_bit_changed_in_the_weights_is_noticed(written, at):
    folder, _, _ = written
    content = bytearray((folder / checkpoints.WEIGHTS).read_bytes())
    content[int(at * len(content))] ^= 1
    (folder / checkpoints.WEIGHTS).write_bytes(content)
    with pytest.raises(AssetError, match="expected sha256"):
        checkpoints.load(folder)


def test_a_card_that_was_edited_is_noticed(written):
    folder, _, _ = written
    held = json.loads((folder / checkpoints.CARD).read_text())
    (folder / checkpoints.CARD).write_text(json.dumps(held | {"side": 96}))
    with pytest.raises(AssetError, match="altered"):
        checkpoints.read(folder)


def test_a_card_that_is_half_there_says_where(written):
    folder, _, _ = written
    (folder / checkpoints.CARD).write_text("{}")
    with pytest.raises(AssetError, match="damaged or of another version of figureground: network"):
        checkpoints.read(folder)


def test_a_folder_that_is_none_says_what_makes_one(tmp_path):
    with pytest.raises(AssetError, match="figureground train"):
        checkpoints.load(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path):
    module = plugins.build("networks", "segresnet", {"width": 8}).build(2)
    checkpoints.write(tmp_path / "model", CARD.model_copy(update={"settings": {"width": 16}}), module.state_dict())
    with pytest.raises(AssetError, match=r"does not fit networks\.segresnet"):
        checkpoints.load(tmp_path / "model")
