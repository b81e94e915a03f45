"""Networks are opened once, on one place, and run from many threads; what does not fit is refused by name."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from figureground.errors import ArrayError, AssetError
from figureground.inference import backends, onnxruntime_backend, openvino_backend
from figureground.inference.network import Network
from figureground.memo import Memo
from figureground.storage import assets
from figureground.types import Weights


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    opened = []
    original = backends._open
    monkeypatch.setattr(backends, "_networks", Memo())
    monkeypatch.setattr(backends, "_open", lambda *asked: opened.append(asked[2]) or original(*asked))
    return opened


BATCH = np.arange(12, dtype=np.float32).reshape(3, 4) - 5


@pytest.mark.parametrize("shape", [(1, 4), (3, 4), ("n", 4)])
def test_a_batch_comes_back_whole_whatever_batch_the_network_was_made_for(cached, shape, negating):
    minus, size = backends.run(cached(negating(shape)), BATCH, outputs=2)
    assert np.array_equal(minus, -BATCH)
    assert np.array_equal(size, abs(BATCH))


def test_one_output_unless_asked_for_more(cached, negating):
    (minus,) = backends.run(cached(negating((1, 4))), BATCH)
    assert np.array_equal(minus, -BATCH)


def test_many_threads_at_once_share_one_session(cached, opened, negating):
    weights = cached(negating(("n", 4)))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: backends.run(weights, BATCH + n)[0], range(32)))
    assert all(np.array_equal(answer, -(BATCH + n)) for n, answer in enumerate(answers))
    assert opened == ["exact"]
    backends.run(weights, BATCH, precision="fast")
    assert opened == ["exact", "fast"]


@pytest.mark.parametrize(
    ("device", "there", "name", "place"),
    [
        ("auto", True, "net.onnx", "cuda"),
        ("auto", False, "net.onnx", "cpu"),
        ("cpu", True, "net.onnx", "cpu"),
        ("auto", True, "net.pt", "cpu"),
    ],
)
def test_a_device_is_taken_where_it_is_there_and_wanted(monkeypatch, device, there, name, place):
    asked = []
    monkeypatch.setattr(onnxruntime_backend, "has_cuda", lambda: there)
    monkeypatch.setattr(assets, "locate", lambda weights: Path(weights.name))
    monkeypatch.setattr(backends.conversion, "find_or_convert", lambda weights: Path(weights.name))
    answer = Network({"x": (None, 4)}, ("minus",), lambda inputs: [-inputs["x"]], ("person",))
    monkeypatch.setattr(onnxruntime_backend, "open_network", lambda *_: asked.append("cuda") or answer)
    monkeypatch.setattr(openvino_backend, "open_network", lambda *_: asked.append("cpu") or answer)
    weights = Weights(name, "0" * 64)
    backends.run(weights, BATCH, device=device)
    backends.run_named(weights, {"x": BATCH}, device=device)
    assert asked == [place]
    assert backends.read_class_names(weights) == ("person",)


def test_without_a_device_both_settings_share_one_network(cached, opened, negating):
    weights = cached(negating(("n", 4)))
    backends.run(weights, BATCH, device="auto")
    backends.run(weights, BATCH, device="cpu")
    assert len(opened) == 1


def test_altered_weights_are_never_opened(cached, opened, negating):
    weights = cached(negating((1, 4)))
    content = bytearray(assets.path_in_cache(weights).read_bytes())
    content[-1] ^= 1
    assets.path_in_cache(weights).write_bytes(content)
    with pytest.raises(AssetError, match=rf"net\.onnx in the cache .* damaged: expected sha256 {weights.sha256}"):
        backends.run(weights, BATCH)


def test_missing_weights_are_named(cached):
    with pytest.raises(AssetError, match=r"gone\.onnx is not in the cache"):
        backends.run(Weights("gone.onnx", "0" * 64), BATCH)


def test_what_is_no_network_is_named(cached):
    with pytest.raises(AssetError, match=r"words\.onnx .* is not a network OpenVINO can open"):
        backends.run(cached(b"just words", "words.onnx"), BATCH)


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        (BATCH.astype(np.float64), r"float64 \(3, 4\)"),
        (BATCH[:, :3], r"float32 \(3, 3\)"),
        (BATCH[0], r"float32 \(4,\)"),
        (BATCH[:0], r"float32 \(0, 4\)"),
    ],
)
def test_a_batch_the_network_does_not_take_is_refused(cached, batch, found, negating):
    with pytest.raises(ArrayError, match=rf"net\.onnx takes float32 of shape \(n >= 1, 4\); found {found}"):
        backends.run(cached(negating((1, 4))), batch)


def test_a_batch_that_does_not_divide_is_refused(cached, negating):
    with pytest.raises(ArrayError, match="takes batches of 2; found 3 items"):
        backends.run(cached(negating((2, 4))), BATCH)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_makes_its_own_session(cached, negating):
    weights = cached(negating((1, 4)))
    code = (
        "import os, signal, sys, numpy as np\n"
        "from figureground.inference import backends\n"
        "from figureground.types import Weights\n"
        f"w, x = Weights('net.onnx', '{weights.sha256}'), np.ones((2, 4), np.float32)\n"
        "backends.run(w, x)\n"
        "backends._networks._lock.acquire()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    signal.alarm(20)\n"
        "    os._exit(0 if (backends.run(w, x)[0] == -1).all() and len(backends._networks) == 1 else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.slow
def test_first_calls_at_the_same_moment_end(cached, negating):
    """Two of them in OpenVINO's binding stop the whole process for ever; it happened once in four such processes."""
    weights = cached(negating(["n", 2]))
    code = (
        "import sys, threading, numpy as np\n"
        "from figureground.inference import backends\n"
        "from figureground.types import Weights\n"
        f"opened = backends._network(Weights('net.onnx', '{weights.sha256}'), 'cpu', 'exact')\n"
        "sys.setswitchinterval(1e-6)\n"
        "gate, answers = threading.Barrier(8), []\n"
        "def go():\n"
        "    gate.wait()\n"
        "    answers.append(opened.call({'x': np.ones((2, 2), np.float32)})[0])\n"
        "threads = [threading.Thread(target=go) for _ in range(8)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "sys.exit(0 if len(answers) == 8 and all((one == -1).all() for one in answers) else 1)\n"
    )
    for _ in range(int(os.environ.get("FIGUREGROUND_ROUNDS", 6))):
        assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_networks_are_opened_one_at_a_time(monkeypatch):
    """OpenVINO's first call must be one thread's: two at once stop the process for ever."""
    inside, most = [], []

    def opened(weights, *_):
        inside.append(weights)
        time.sleep(0.05)
        most.append(len(inside))
        inside.remove(weights)

    monkeypatch.setattr(backends, "_networks", Memo())
    monkeypatch.setattr(backends, "_open", opened)
    threads = [threading.Thread(target=backends._network, args=(Weights("a.onnx", str(n)), "cpu", "exact")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert most == [1, 1, 1, 1]


def test_importing_it_loads_no_runtime():
    code = "import sys, figureground.inference.backends; sys.exit(bool({'onnxruntime', 'openvino'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_inner_layers_are_given_in_the_order_asked_for(cached, negating):
    weights, batch = cached(negating(["n", 2])), np.array([[1, -2]], np.float32)
    computing = ("Negative", "Multiply", "Abs")
    names = [layer.get_friendly_name() for layer in _layers(weights) if layer.get_type_name() in computing]
    assert len(names) == 2
    one, other = backends.run_layers(weights, batch, names)
    again, first = backends.run_layers(weights, batch, names[::-1])
    assert np.array_equal(one, first) and np.array_equal(other, again) and not np.array_equal(one, other)
    (alone,) = backends.run_layers(weights, batch, names[1:])
    assert np.array_equal(alone, other)


def test_a_layer_that_is_not_there_is_named(cached, negating):
    with pytest.raises(AssetError, match=r"net.onnx has no layer model.4: name another network"):
        backends.run_layers(cached(negating(["n", 2])), np.zeros((1, 2), np.float32), ["model.4"])


def _layers(weights):
    import openvino

    return openvino.Core().read_model(str(assets.locate(weights))).get_ops()
