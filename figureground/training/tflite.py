"""A checkpoint as a TFLite file: ``python -m figureground.training.tflite CHECKPOINT SIDE FILE SQUARES.npy ANSWERS.npz``.

Google's converter (litert-torch) and interpreter (ai-edge-litert) live in the folder of `make litert`: their metadata allow an
older torch than ours. So this is a process of its own, started by `figureground.training.export` with that folder on its path.
"""

import sys
import time
from pathlib import Path

import numpy as np

_ROUNDS = 12


def main(checkpoint: str, side: str, file: str, squares: str, predictions: str) -> None:
    """Convert, then ask the interpreter for every picture.

    Parameters
    ----------
    checkpoint, side
        The folder, and the side of the square that the file shall take.
    file
        The ``.tflite`` to write: input float32 (1, side, side, 3), RGB, 0 to 1; output alpha (1, side, side, 1), and of several
        classes probabilities (1, side, side, classes) after it.
    squares
        A ``.npy`` of letterboxed pictures, (n, side, side, 3) uint8.
    predictions
        The ``.npz`` to write: ``answers`` (n, channels, side, side) float32, ``seconds`` of single calls.
    """
    import litert_torch
    import torch
    from ai_edge_litert.interpreter import Interpreter

    from figureground.training import checkpoints
    from figureground.training.export import Answering

    network, card = checkpoints.load(Path(checkpoint))
    outputs = [0] if card.soft else [0, 1]
    last = litert_torch.to_channel_last_io(Answering(network, card.classes).eval(), args=[0], outputs=outputs)
    litert_torch.convert(last, (torch.zeros(1, int(side), int(side), 3),)).export(file)
    interpreter = Interpreter(model_path=file, num_threads=torch.get_num_threads())
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]["index"]
    output_index = next(sample["index"] for sample in interpreter.get_output_details() if sample["shape"][-1] == card.classes)
    result, seconds = [], []
    images = np.load(squares)
    for number in range(len(images) + _ROUNDS):
        pixels = images[number % len(images)][None].astype(np.float32) / np.float32(255)
        begun = time.perf_counter()
        interpreter.set_tensor(taken, pixels)
        interpreter.invoke()
        answer = interpreter.get_tensor(output_index)
        seconds.append(time.perf_counter() - begun)
        result.append(answer[0].transpose(2, 0, 1))
    np.savez(predictions, answers=np.stack(result[: len(images)]), seconds=np.array(seconds[len(images) :]))


if __name__ == "__main__":
    main(*sys.argv[1:])
