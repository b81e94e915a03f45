"""Networks learn twenty pictures by heart; a killed training ends with the same weights."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from figureground.errors import AssetError
from figureground.training import loop
from figureground.training.letterbox import LetterboxedSamples
from figureground.training.loop import Machine, compute_loss, train_network
from figureground.training.sample_cache import TrainingSample
from figureground.training.settings import TrainingSettings

CPU = Machine("cpu", False, False, 0)
SMALL = {"unet": {"width": 8}, "segnet": {"width": 8}, "segresnet": {"width": 8}}
BY_HEART = dict.fromkeys(SMALL, (64, 3e-3, 400)) | {"deeplabv3": (128, 8e-3, 1200)}
"""Side, rate and first budget. DeepLabV3 answers at a sixteenth of its input's size: of 64 pixels it learns .89, no more."""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Two threads that wait for each other in a busy machine take ten times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(count, classes=2, side=96):
    """Figures of a head and a body before noise, each of its own colour and place."""
    for at in range(count):
        random = np.random.default_rng(at)
        image = random.integers(10, 90, (side, side, 3), np.uint8)
        ids = np.zeros((side, side), np.uint8)
        middle = int(side * random.uniform(0.4, 0.6))
        cv2.ellipse(ids, (middle, int(side * 0.68)), (side // 4, side // 3), 0, 0, 360, 2, -1)
        cv2.circle(ids, (middle, int(side * 0.24)), side // 7, 1, -1)
        image[ids > 0] = np.clip(random.integers(140, 240, 3) + random.integers(-15, 15, (int((ids > 0).sum()), 3)), 0, 255)
        truth = ids if classes == 5 else (ids > 0).astype(np.uint8) if classes == 2 else (ids > 0).astype(np.float32)
        yield TrainingSample(f"drawn-{at:06d}", "train", (), f"drawn{at}", image, truth)


def squares(folder, count=20, classes=2, side=64):
    return LetterboxedSamples.create(folder, drawn(count, classes, side), count, side)


@pytest.mark.slow
@pytest.mark.parametrize("network", list(BY_HEART))
def test_each_network_overfits_twenty_images(network, tmp_path):
    """At a fixed rate a larger budget on the same bench carries on where the smaller one ended."""
    side, rate, first = BY_HEART[network]
    taught, score = squares(tmp_path / "taught", side=side), 0.0
    for times in (1, 1.5, 2.2, 4):
        how = TrainingSettings(
            network, SMALL.get(network, {}), 2, side, round(first * times), 10, learning_rate=rate, validations=1, plain=True
        )
        score = train_network(how, taught, taught, tmp_path, CPU).curve[-1].score
        if score >= 0.95:
            break
    assert score >= 0.95


@pytest.mark.slow
def test_five_classes_and_soft_alpha_are_learnt_too(tmp_path):
    for classes in (5, 1):
        taught = squares(tmp_path / str(classes), 6, classes, 32)
        how = TrainingSettings("segnet", {"width": 8}, classes, 32, 900, 6, 3e-3, validations=2)
        done = train_network(how, taught, taught, tmp_path / f"bench{classes}", CPU)
        assert done.curve[-1].loss < done.curve[0].loss
        assert done.chosen in done.curve and max(point.score for point in done.curve) >= done.chosen.score > 0.5


CHILD = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    import torch
    from safetensors.torch import save_file
    from figureground.training.letterbox import LetterboxedSamples
    from figureground.training.loop import Machine, train_network
    from figureground.training.settings import TrainingSettings

    torch.set_num_threads(1)
    bench = Path(sys.argv[1])
    taught, watched = LetterboxedSamples(Path(sys.argv[2])), LetterboxedSamples(Path(sys.argv[3]))
    how = TrainingSettings("segnet", {"width": 2}, side=32, pictures=120, batch=4, validations=5, seed=7)
    tell = lambda step, steps: (print(step, flush=True), time.sleep(0.05))  # so that a kill comes before the end
    done = train_network(how, taught, watched, bench, Machine("cpu", False, False, 0), tell, keep_every_seconds=0.0)
    save_file(done.weights, bench / "done.safetensors")
    (bench / "curve.txt").write_text(repr(done.curve))
""")


def run(bench, taught, watched, kill_after=None):
    """Train in a process of its own; SIGKILL it once it has told of so many steps. Gives the steps it told of."""
    (bench).mkdir(exist_ok=True)
    command = [sys.executable, "-c", CHILD, str(bench), str(taught), str(watched)]
    steps = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) as child:
        for line in child.stdout:
            steps.append(int(line))
            if kill_after and len(steps) >= kill_after:
                child.kill()
                break
        child.wait()
    assert child.returncode == (-9 if kill_after else 0)
    return steps


@pytest.mark.faults
def test_a_killed_training_continues_and_ends_with_identical_weights(tmp_path):
    for name, count in (("taught", 10), ("watched", 4)):
        squares(tmp_path / name, count, side=32)
    places = tmp_path / "taught", tmp_path / "watched"
    assert run(tmp_path / "whole", *places) == list(range(1, 31))
    killed = run(tmp_path / "killed", *places, kill_after=7)
    rest = run(tmp_path / "killed", *places)
    assert killed[-1] == 7 and 7 <= rest[0] < 30 and rest[-1] == 30
    one, same = (load_file(tmp_path / name / "done.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], same[name]) for name in one) and one.keys() == same.keys()
    assert (tmp_path / "whole/curve.txt").read_text() == (tmp_path / "killed/curve.txt").read_text()


@pytest.mark.slow
def test_an_interrupted_training_ends_as_an_undisturbed_one(tmp_path):
    taught = squares(tmp_path / "taught", 6, side=32)
    how = TrainingSettings("segnet", {"width": 2}, side=32, pictures=40, batch=4, validations=3)

    def interrupted(step, steps):
        if step == 4:
            raise KeyboardInterrupt

    whole = train_network(how, taught, taught, tmp_path / "whole", CPU)
    with pytest.raises(KeyboardInterrupt):
        train_network(how, taught, taught, tmp_path / "halves", CPU, interrupted, keep_every_seconds=0.0)
    told = []
    halves = train_network(how, taught, taught, tmp_path / "halves", CPU, lambda step, steps: told.append(step))
    assert told == [5, 6, 7, 8, 9, 10] and halves.curve == whole.curve
    assert all(torch.equal(weights, halves.weights[name]) for name, weights in whole.weights.items())


def test_the_seed_decides(tmp_path):
    taught = squares(tmp_path / "taught", 4, side=32)
    made = [
        train_network(
            TrainingSettings("segnet", {"width": 2}, side=32, pictures=8, batch=4, seed=seed),
            taught,
            taught,
            tmp_path / name,
            CPU,
        )
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    one, same, other = ([*done.weights.values()] for done in made)
    assert all(map(torch.equal, one, same)) and not all(map(torch.equal, one, other))


RISING = [[step / 10] * 4 for step in range(3)], 2
LUCK = [[0.9, 0.1, 0.9, 0.1], [0.4, 0.5, 0.4, 0.5], [0.4, 0.5, 0.4, 0.5]], 2
BETTER = [[0.9, 0.8, 0.9, 0.8], [0.5, 0.5, 0.5, 0.4], [0.6, 0.4, 0.5, 0.5]], 0


@pytest.mark.parametrize(("scores", "chosen"), [RISING, LUCK, BETTER])
def test_the_last_weights_are_kept_that_do_as_well_as_the_best(scores, chosen, tmp_path, monkeypatch):
    """Within a standard error of four pictures: an early look that is better on some by luck is not chosen."""
    held = []

    def given(course):
        held.append(loop._copied(course.module))
        return scores[len(held) - 1]

    monkeypatch.setattr(loop._Course, "_scores", given)
    taught = squares(tmp_path / "taught", 4, side=32)
    how = TrainingSettings("segnet", {"width": 2}, side=32, pictures=24, batch=4, validations=3)
    done = train_network(how, taught, taught, tmp_path, CPU)
    assert done.chosen == done.curve[chosen]
    assert all(torch.equal(tensor, held[chosen][name]) for name, tensor in done.weights.items())
    assert any(not torch.equal(tensor, held[chosen - 1][name]) for name, tensor in done.weights.items())


def test_where_there_is_nothing_to_choose_by_the_last_weights_are_kept(tmp_path):
    taught, nothing = squares(tmp_path / "taught", 4, side=32), LetterboxedSamples.create(tmp_path / "nothing", [], 0, 32)
    how = TrainingSettings("segnet", {"width": 2}, side=32, pictures=24, batch=4, validations=3)
    assert train_network(how, taught, nothing, tmp_path, CPU).chosen is None


def test_an_empty_training_set_and_a_diverging_loss_are_reported(tmp_path, monkeypatch):
    nothing, taught = LetterboxedSamples.create(tmp_path / "nothing", [], 0, 32), squares(tmp_path / "taught", 4, side=32)
    with pytest.raises(AssetError, match="no picture to learn from"):
        train_network(TrainingSettings("segnet", {"width": 2}, side=32), nothing, nothing, tmp_path, CPU)

    def poisoned(logits, truths, plain=False):
        return logits.sum() * float("nan")

    monkeypatch.setattr(loop, "compute_loss", poisoned)
    with pytest.raises(AssetError, match="after 1 steps; take a smaller"):
        train_network(TrainingSettings("segnet", {"width": 2}, side=32), taught, taught, tmp_path / "bench", CPU)


def test_the_loss_is_cross_entropy_and_what_is_missing_of_the_overlap():
    torch.manual_seed(1)
    logits, truths = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8), dtype=torch.uint8)
    entropy = functional.cross_entropy(logits, truths.long())
    assert torch.equal(compute_loss(logits, truths, plain=True), entropy)
    guess = logits.softmax(1)
    overlaps = [(2 * guess[:, c][truths == c].sum() + 1) / (guess[:, c].sum() + (truths == c).sum() + 1) for c in (1, 2)]
    torch.testing.assert_close(compute_loss(logits, truths), entropy + 1 - torch.stack(overlaps).mean())
    sure = 30 * (2 * (truths > 0).float() - 1).unsqueeze(1)
    assert compute_loss(sure, (truths > 0).to(torch.uint8) * 255) < 1e-3


def test_a_gpu_that_is_not_there_is_not_taken():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert Machine.select("auto") == Machine.select("cpu") == CPU
    with pytest.raises(AssetError, match="no GPU"):
        Machine.select("cuda")


def test_pictures_of_a_training_are_opened_by_every_process_itself(tmp_path):
    import pickle

    made = squares(tmp_path / "taught", 3)
    made[0]
    again = pickle.loads(pickle.dumps(made))
    assert len(pickle.dumps(made)) < 2000 and all(np.array_equal(a, b) for a, b in zip(made[2], again[2], strict=True))
    assert Path(tmp_path / "taught/list.json").is_file()
