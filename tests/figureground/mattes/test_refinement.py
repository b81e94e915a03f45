"""How the answers to SAM 2's prompts become one matte; its networks are replaced."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from figureground.mattes import promptable, refinement
from figureground.mattes.promptable import Embedding, Prompt, Segmentation
from figureground.mattes.refinement import Refinement, RoughMatte
from figureground.types import Box, PersonCrop, Weights

SETTINGS = Refinement(Weights("e.ort", "0" * 64), Weights("d.onnx", "1" * 64))
HEIGHT, WIDTH = 512, 256
PERSON, BAG = Box(64, 64, 192, 448), Box(192, 200, 224, 300)

Answer = Callable[[Prompt], NDArray[np.float32]]


def filled(box: Box, height: int = 256, width: int = 256) -> NDArray[np.float32]:
    """Give a mask of a box of the crop, by default of the decoder's size."""
    mask = np.zeros((height, width), np.float32)
    top, bottom = (round(y * height / HEIGHT) for y in (box.y0, box.y1))
    left, right = (round(x * width / WIDTH) for x in (box.x0, box.x1))
    mask[top:bottom, left:right] = 1
    return mask


def crop() -> PersonCrop:
    joints = np.zeros((17, 3), np.float32)
    joints[5] = (100, 120, 0.9)
    whole = Box(1000, 2000, 1000 + WIDTH, 2000 + HEIGHT)
    person = Box(1000 + PERSON.x0, 2000 + PERSON.y0, 1000 + PERSON.x1, 2000 + PERSON.y1)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return PersonCrop("a-0-00", "a-0", "a", whole, person, 0.9, joints, (), 4000, 4000, image)


def rough(objects: bool = True, others: tuple[Box, ...] = ()) -> RoughMatte:
    body, bag = filled(PERSON, HEIGHT, WIDTH), filled(BAG, HEIGHT, WIDTH)
    return RoughMatte(np.maximum(body, bag) if objects else body, body, [(BAG, bag)] if objects else [], others)


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], list[Prompt]]:
    """Answer prompts by a function; gives the list of prompts."""

    def replace(answer: Answer) -> list[Prompt]:
        prompts: list[Prompt] = []

        def segment(_: Weights, __: Embedding, prompt: Prompt, ___: Any) -> Segmentation:
            prompts.append(prompt)
            return Segmentation(answer(prompt), 0.9)

        monkeypatch.setattr(promptable, "encode", lambda *_: Embedding({}, HEIGHT, WIDTH))
        monkeypatch.setattr(promptable, "segment", segment)
        return prompts

    return replace


def test_agreed_answers_are_the_matte(replaced: Callable[[Answer], list[Prompt]]) -> None:
    prompts = replaced(lambda _: filled(PERSON))
    alpha, agreement = refinement.refine(SETTINGS, crop(), rough(objects=False))
    assert (alpha.shape, alpha.dtype) == ((HEIGHT, WIDTH), np.float32)
    assert np.array_equal(alpha >= 0.5, filled(PERSON, HEIGHT, WIDTH) >= 0.5)
    assert agreement == 1
    assert all(prompt.box == PERSON for prompt in prompts)
    assert [prompt.inside for prompt in prompts if prompt.inside] == [[(100, 120)]] * 3


def test_an_object_is_added_though_the_prompts_for_the_body_leave_it_out(replaced: Callable[[Answer], list[Prompt]]) -> None:
    both = np.maximum(filled(PERSON), filled(BAG))
    answers = {BAG: filled(BAG), PERSON: filled(PERSON)}
    prompts = replaced(lambda prompt: answers.get(prompt.box, both))
    alpha, agreement = refinement.refine(SETTINGS, crop(), rough())
    assert alpha[250, 208] > 0.9
    assert agreement == 1
    assert {(prompt.box.x0, prompt.box.x1) for prompt in prompts if prompt.box} == {(64, 192), (192, 224), (64, 224)}


def test_a_single_answer_that_errs_is_outvoted_and_lowers_the_agreement(replaced: Callable[[Answer], list[Prompt]]) -> None:
    replaced(lambda prompt: filled(PERSON) if prompt.mask is not None or prompt.inside else np.ones((256, 256), np.float32))
    alpha, agreement = refinement.refine(SETTINGS, crop(), rough(objects=False))
    assert np.array_equal(alpha >= 0.5, filled(PERSON, HEIGHT, WIDTH) >= 0.5)
    assert 0.8 < agreement < 0.95


def test_other_people_in_the_crop_are_points_outside(replaced: Callable[[Answer], list[Prompt]]) -> None:
    beside, on_the_person, elsewhere = Box(200, 0, 256, 100), Box(100, 100, 140, 300), Box(300, 0, 400, 100)
    prompts = replaced(lambda _: filled(PERSON))
    refinement.refine(SETTINGS, crop(), rough(objects=False, others=(beside, on_the_person, elsewhere)))
    assert {tuple(prompt.outside) for prompt in prompts} == {(), ((228.0, 50.0),)}


def test_at_the_outline_and_nowhere_else_the_matte_counts(replaced: Callable[[Answer], list[Prompt]]) -> None:
    replaced(lambda _: filled(PERSON))
    soft = np.full((HEIGHT, WIDTH), 0.4, np.float32)
    alpha, _ = refinement.refine(SETTINGS, crop(), RoughMatte(soft, soft, [], ()))
    assert alpha[256, 128] == 1 and alpha[256, 10] == 0
    assert alpha[256, 66] == pytest.approx(1 - 0.6 / 3, abs=0.02) and alpha[256, 61] == pytest.approx(0.4 / 3, abs=0.02)
