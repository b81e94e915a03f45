"""The brush codec against Label Studio's own, byte by byte, and against streams that are not brush strokes."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from figureground.annotation import brush_rle
from figureground.errors import ArrayError, LabelError

relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def reference():
    """The SDK's codec: bit strings and loops, but what the server's readers understand."""
    return pytest.importorskip("label_studio_sdk.converter.brush", reason="no label-studio-sdk")


@st.composite
def masks(draw):
    """Masks with long runs, short runs, lone pixels and soft rims."""
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    levels = draw(st.sampled_from([[0, 255], [0, 1, 254, 255], list(range(256))]))
    mask = np.zeros(shape, np.uint8)
    for _ in range(draw(st.integers(0, 4))):
        y, x = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        mask[y : y + draw(st.integers(1, 60)), x : x + draw(st.integers(1, 60))] = draw(st.sampled_from(levels))
    noisy = draw(hnp.arrays(np.bool_, shape)) if draw(st.booleans()) else np.zeros(shape, bool)
    mask[noisy] = draw(st.sampled_from(levels))
    return mask


@relaxed
@given(mask=masks())
def test_a_mask_is_packed_as_the_sdk_does_and_comes_back(reference, mask):
    rle = brush_rle.encode(mask)
    assert rle == reference.mask2rle(mask)
    assert np.array_equal(brush_rle.decode(rle, mask.shape[1], mask.shape[0]), mask)


@relaxed
@given(values=hnp.arrays(np.uint8, st.integers(1, 2000), elements=st.sampled_from([0, 1, 255])))
def test_any_bytes_are_packed_as_the_sdk_does_and_come_back(reference, values):
    packed = brush_rle.pack(values)
    assert packed.tolist() == reference.encode_rle(values)
    assert np.array_equal(brush_rle.unpack(packed, values.size), values)


@pytest.mark.parametrize("length", [8, 9, 16, 17, 256, 257, 65535, 65536, 65537, 65544, 131072, 131073])
@pytest.mark.parametrize("before", [0, 1])
def test_every_edge_of_a_length_field(reference, length, before):
    values = np.concatenate([np.full(before, 3), np.full(length, 9), np.full(5, 1)]).astype(np.uint8)
    packed = brush_rle.pack(values)
    assert packed.tolist() == reference.encode_rle(values)
    assert np.array_equal(brush_rle.unpack(packed, values.size), values)


def stream(*fields, count, word=8, sizes=(3, 4, 8, 16)):
    """Write a stream by hand: (value, width) pairs behind a header."""
    header = [(count, 32), (word - 1, 5), *((size - 1, 4) for size in sizes)]
    bits = "".join(f"{value:0{width}b}" for value, width in [*header, *fields])
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_literals_of_several_words_are_read():
    """Label Studio's browser writes them; the SDK never does."""
    literals = [(0b0_00, 3), (2, 3), (10, 8), (20, 8), (30, 8)]
    assert brush_rle.unpack(stream(*literals, (0b1_01, 3), (8, 4), (7, 8), count=12), 12).tolist() == [10, 20, 30] + [7] * 9


def test_other_length_fields_are_read():
    assert brush_rle.unpack(stream((0b1_01, 3), (4, 6), (7, 8), count=5, sizes=(1, 6, 2, 3)), 5).tolist() == [7] * 5


@pytest.mark.parametrize(
    ("rle", "says"),
    [
        ([], "not a list of bytes"),
        ("rle", "not a list of bytes"),
        ([1, [2]], "not a list of bytes"),
        ([1.5], "not a list of bytes"),
        ([0, 256], "outside 0..255"),
        ([0, -1], "outside 0..255"),
        ([0, 0, 0, 4], "within its header"),
        (stream((0b1_00, 3), (3, 3), (9, 8), count=8), "holds 8 values, the picture has 4"),
        (stream((0b1_00, 3), (3, 3), (9, 4), count=4, word=4), "words of 4 bits"),
        (stream(count=4), "ends early"),
        (stream((0b1_00, 3), (1, 3), (9, 8), count=4), "ends early"),
        (stream((0b0_00, 3), (3, 3), (9, 8), (9, 8), count=4), "ends early"),
        (stream((0b1_00, 3), (4, 3), (9, 8), count=4), "goes 1 values over"),
        (stream((0b1_00, 3), (3, 3), (9, 8), (1, 30), count=4), "goes on after"),
    ],
)
def test_a_stream_that_is_none_is_refused(rle, says):
    with pytest.raises(LabelError, match=says):
        brush_rle.unpack(rle, 4)


@settings(deadline=None, max_examples=150)
@given(content=st.binary(max_size=400), head=st.booleans(), count=st.sampled_from([4, 400, 40_000]))
def test_noise_gives_the_picture_s_size_or_a_label_error(content, head, count):
    rle = stream(count=count)[:6] + list(content) if head else list(content)
    with contextlib.suppress(LabelError):
        assert brush_rle.unpack(rle, count).shape == (count,)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_flipped_or_cut_stream_gives_the_picture_s_size_or_a_label_error(data):
    mask = data.draw(masks())
    rle = brush_rle.encode(mask)
    at = data.draw(st.integers(0, len(rle) - 1))
    broken = rle[:at] if data.draw(st.booleans()) else [*rle[:at], rle[at] ^ data.draw(st.integers(1, 255)), *rle[at + 1 :]]
    with contextlib.suppress(LabelError):
        assert brush_rle.decode(broken, mask.shape[1], mask.shape[0]).shape == mask.shape


def test_a_stream_that_announces_a_huge_mask_is_refused_at_once():
    count = 2**32 - 1
    tracemalloc.start()
    with pytest.raises(LabelError, match="ends early"):
        brush_rle.unpack(stream((0b1_11, 3), (65535, 16), (9, 8), count=count), count)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("mask", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2)), np.zeros((0, 3), np.uint8)])
def test_only_a_uint8_mask_is_packed(mask):
    with pytest.raises(ArrayError, match="needs shape"):
        brush_rle.encode(mask)
