"""mmsegmentation's config of a dataset: its classes and colours, and a loader for each split."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from figureground.datasets.splits import SPLITS, Split


@dataclass(frozen=True, slots=True)
class Places:
    """Where a split's images and labels lie in the dataset's folder, and the list of its samples ("" means all there are)."""

    images: str
    labels: str
    sample_ids: str = ""


def config(names: Sequence[str], places: Mapping[Split, Places]) -> bytes:
    """Write the config; mmengine puts the file's own folder in place of ``fileDirname``.

    Parameters
    ----------
    names
        The classes' names by their ids.
    places
        The splits there are; images are ``.jpg``, labels ``.png``.
    """
    classes, sides = ", ".join(json.dumps(name) for name in names), _sides(names)
    flipped = f", swap_seg_labels={sides}" if sides else ""
    parts = [_HEAD.format(classes=classes, palette=palette(len(names)), flipped=flipped)]
    for split in (split for split in SPLITS if split in places):
        train, where = split == "train", places[split]
        shuffled, steps = ('"InfiniteSampler"', "train_pipeline") if train else ('"DefaultSampler"', "test_pipeline")
        listed = f'        ann_file="{where.sample_ids}",\n' if where.sample_ids else ""
        parts.append(
            _LOADER.format(
                split=split,
                sampler=shuffled,
                shuffle=train,
                steps=steps,
                batch=4 if train else 1,
                listed=listed,
                images=where.images,
                labels=where.labels,
            )
        )
        if not train:
            parts.append(f'{split}_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])\n')
    return "".join(parts).encode()


def palette(classes: int) -> list[list[int]]:
    """Give each class a colour: PASCAL VOC's, or black and white for two.

    >>> palette(2), palette(4)[1:]
    ([[0, 0, 0], [255, 255, 255]], [[128, 0, 0], [0, 128, 0], [128, 128, 0]])
    """
    if classes == 2:
        return [[0, 0, 0], [255, 255, 255]]
    return [[sum((number >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3)]
            for number in range(classes)]  # fmt: skip


def _sides(names: Sequence[str]) -> list[list[int]]:
    """Give the classes that a mirrored image exchanges: the left arm of one is the other's right arm."""
    right = {name.removeprefix("right-"): number for number, name in enumerate(names) if name.startswith("right-")}
    left = ((name.removeprefix("left-"), number) for number, name in enumerate(names) if name.startswith("left-"))
    return [[number, right[part]] for part, number in left if part in right]


_HEAD = """\
data_root = "{{{{ fileDirname }}}}"
metainfo = dict(classes=({classes}), palette={palette})
crop_size = (512, 512)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=(1024, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.9),
    dict(type="RandomFlip", prob=0.5{flipped}),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1024, 512), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
"""
_LOADER = """\
{split}_dataloader = dict(
    batch_size={batch},
    num_workers=2,
    sampler=dict(type={sampler}, shuffle={shuffle}),
    dataset=dict(
        type="BaseSegDataset",
        data_root=data_root,
        metainfo=metainfo,
        img_suffix=".jpg",
        seg_map_suffix=".png",
{listed}        data_prefix=dict(img_path="{images}", seg_map_path="{labels}"),
        reduce_zero_label=False,
        pipeline={steps},
    ),
)
"""
