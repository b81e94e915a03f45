"""A real browser: what was pushed is seen, a stroke is painted by hand, and the pull fuses it.

``FIGUREGROUND_PICTURES=docs/pictures`` writes the pictures of the guide anew.
"""

import os
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from figureground import tables
from figureground.annotation import edit_fusion, predictions
from figureground.imaging import crops as cutting
from figureground.imaging import masks
from figureground.storage.store import Store
from figureground.tables import crop_rows
from figureground.types import Box, PersonCrop
from tasks.annotation.pull import pull
from tasks.annotation.push import push

pytestmark = [pytest.mark.studio, pytest.mark.browser]

WIDTH, HEIGHT = 320, 480
NARROW = slice(64, 256)  # the columns of a crop from fingertip to fingertip


def somebody():
    """Draw somebody in grey before a grey wall, so that all that is red on the screen is the mask."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    head, body, legs, arms = (160, 95, 38, 48), (160, 235, 58, 100), (26, 85), (17, 85)
    for left, top, wide, high in (head, body, (128, 395, *legs), (192, 395, *legs), (92, 235, *arms), (228, 235, *arms)):
        inside = (1 - np.hypot((x - left) / wide, (y - top) / high)) * min(wide, high)
        alpha = np.maximum(alpha, np.clip(inside / 4 + 0.5, 0, 1))
    wall, cloth = 125 + 40 * np.sin(x / 37) + 30 * np.sin(y / 53), 65 + 18 * np.sin(y / 9)
    grey = np.clip(wall * (1 - alpha) + cloth * alpha, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2), alpha


@pytest.fixture(params=["brush", "bitmask"])
def drawn(real, request):
    """Material of one crop that a person would recognise, for both ways a mask may be stored there."""
    return material_of(real(1), request.param, *somebody())


@pytest.fixture(params=["brush", "bitmask"])
def narrow(real, request):
    """Material of one crop that fills about half of the canvas' width."""
    return material_of(real(1), request.param, *(array[:, NARROW] for array in somebody()))


def material_of(material, kind, image, alpha):
    """Give the material this image as its only crop, and this alpha as its matte."""
    entry = material.catalog.label_studio.model_copy(update={"mask": kind})
    material = material._replace(catalog=material.catalog.model_copy(update={"label_studio": entry}))
    store, source_id = Store(material.catalog.storage_root), material.source.source_id
    frame_id, box = f"{source_id}-000000", Box(0, 0, image.shape[1], HEIGHT)
    crop = PersonCrop(f"{frame_id}-00", frame_id, source_id, box, box, 0.9, np.zeros((0, 3), np.float32), (), 640, 480, image)
    file = f"crops/{source_id}/{crop.crop_id}.jpg"
    rows = [asdict(crop_rows.from_crop(crop, file, store.write(file, cutting.encode(image))))]
    crops = tables.write(store, "crops", source_id, pd.DataFrame(rows), fingerprint="drawn")
    file = f"mattes/{source_id}/{crop.crop_id}.png"
    matte = tables.read(store, material.mattes).rows.iloc[0].to_dict()
    rows = [matte | {"file": file, "sha256": store.write(file, masks.to_png(alpha))}]
    mattes = tables.write(store, "mattes", source_id, pd.DataFrame(rows), fingerprint="drawn")
    return material._replace(crops=crops, mattes=mattes)


@pytest.fixture
def page(real_studio, chromium):
    """A window of a browser that is logged in."""
    page = chromium.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(f"{real_studio.url}/user/login/")
    page.fill("input[name=email]", real_studio.username)
    page.fill("input[name=password]", real_studio.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url, wait_until="commit")
    yield page
    page.close()


def look(page, name=""):
    """Give where the picture is on the screen and what is red there."""
    box, stage = (page.locator(what).first.bounding_box() for what in ("img[alt=image]", ".konvajs-content"))
    if page.locator("[class*=image_position__center]").count():  # then the picture is painted elsewhere than its element is
        box["x"] = stage["x"] + (stage["width"] - box["width"]) / 2
    pixels = cv2.imdecode(np.frombuffer(page.screenshot(clip=box), np.uint8), cv2.IMREAD_COLOR).astype(int)
    if name and (folder := os.environ.get("FIGUREGROUND_PICTURES")):
        around = {"x": box["x"] - 12, "y": box["y"] - 60, "width": box["width"] + 100, "height": box["height"] + 65}
        page.screenshot(path=Path(folder, name), clip=around)
    return box, pixels[:, :, 2] - pixels[:, :, 1] > 45


def until_red(page, at_least):
    """Wait until the mask is shown and stands still: the canvas is drawn a while after the page is there, and moves once."""
    before = None
    for _ in range(60):
        box, red = look(page)
        if red.mean() >= at_least and before == (box, red.sum()):
            return box, red
        before = box, red.sum()
        page.wait_for_timeout(500)
    raise AssertionError(f"no mask is seen: {red.mean():.1%} of the picture is red, expected {at_least:.1%}")


def overlap(red, mask):
    shown = cv2.resize(mask, red.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return (red & shown).sum() / (red | shown).sum()


def push_and_open(material, page, studio, at_least):
    """Push the only crop and open its task; give the tasks' table, where the picture is on the screen and what is red there."""
    tasks = push.fn(material.crops, material.mattes, material.source, material.catalog)
    task = tables.read(Store(material.catalog.storage_root), tasks).rows.iloc[0]
    page.goto(f"{studio.url}/projects/{task['project_id']}/data?task={task['task_id']}")
    page.wait_for_selector("canvas")
    return tasks, *until_red(page, at_least)


def select_region(page):
    page.locator(".lsf-outliner-item, [class*=outliner]").get_by_text("person", exact=True).last.click()


def drag(page, box, scale, columns, row):
    """Press the mouse at the first column of the picture, draw to the second, let go and move out of the way."""
    page.mouse.move(box["x"] + columns[0] * scale, box["y"] + row * scale)
    page.mouse.down()
    page.mouse.move(box["x"] + columns[1] * scale, box["y"] + row * scale, steps=12)
    page.mouse.up()
    page.mouse.move(box["x"] + 10 * scale, box["y"] + 450 * scale)
    page.wait_for_timeout(500)


def submit(page):
    with page.expect_response(lambda reply: "/annotations" in reply.url and reply.request.method == "POST") as reply:
        page.get_by_label("Submit current annotation").click()
    assert reply.value.status == 201


def test_a_person_sees_the_mask_paints_a_stroke_and_the_pull_fuses_it(drawn, page, real_studio):
    catalog, store = drawn.catalog, Store(drawn.catalog.storage_root)
    _, alpha = somebody()
    pushed = predictions.binarize(alpha)
    tasks, box, red = push_and_open(drawn, page, real_studio, 0.9 * (pushed > 0).mean())
    assert overlap(red, pushed) > 0.97
    look(page, "annotate-pushed.png" if catalog.label_studio.mask == "brush" else "")

    select_region(page)
    kind = catalog.label_studio.mask
    page.get_by_label(f"{kind}-tool").click()
    drag(page, box, box["width"] / WIDTH, (125, 195), 40)
    look(page, "annotate-stroke.png" if kind == "brush" else "")
    submit(page)

    labels = tables.read(store, pull.fn(drawn.crops, drawn.mattes, tasks, catalog)).rows
    row = labels.iloc[0]
    assert (len(labels), row["origin"], row["verdict"]) == (1, "prediction-changed", "keep")
    assert row["parent_prediction"] > 0
    label = cv2.imdecode(np.frombuffer(store.read(row["file"], row["sha256"]), np.uint8), cv2.IMREAD_UNCHANGED)
    levels = masks.to_levels(alpha)
    touched = (label >= 128) != (pushed >= 128)
    assert 200 < touched.sum() < 6000
    assert (label >= 128)[40, 130:190].all(), "what was painted is person"
    near = cv2.dilate(touched.astype(np.uint8), np.ones((4 * edit_fusion.REACH + 1,) * 2, np.uint8)) > 0
    assert np.array_equal(label[~near], levels[~near]), "what was not touched is the matte's, bit by bit"
    rows = np.flatnonzero(touched.any(axis=1))
    assert rows[0] >= 15 and rows[-1] <= 65
    soft = (label > 0) & (label < 255)
    assert soft[near].sum() > 50, "the edited rim is soft again"


def test_brush_and_eraser_reach_the_whole_width_of_a_narrow_crop(narrow, page, real_studio):
    page.set_viewport_size({"width": 1440, "height": 900})
    catalog, store = narrow.catalog, Store(narrow.catalog.storage_root)
    pushed = predictions.binarize(somebody()[1][:, NARROW])
    width = pushed.shape[1]
    tasks, box, red = push_and_open(narrow, page, real_studio, 0.9 * (pushed > 0).mean())
    assert overlap(red, pushed) > 0.97
    scale, kind = box["width"] / width, catalog.label_studio.mask

    select_region(page)
    page.get_by_label(f"{kind}-tool").click()
    strokes = {"left": (4, 40), "middle": (80, 112), "right end": (152, width - 4)}
    for columns in strokes.values():
        drag(page, box, scale, columns, 20)
    page.get_by_label("eraser", exact=True).click()
    hand = (155, 170)
    assert (pushed[235, slice(*hand)] >= 128).all(), "the hand on the right is in the mask before it is erased"
    drag(page, box, scale, hand, 235)
    submit(page)

    row = tables.read(store, pull.fn(narrow.crops, narrow.mattes, tasks, catalog)).rows.iloc[0]
    label = cv2.imdecode(np.frombuffer(store.read(row["file"], row["sha256"]), np.uint8), cv2.IMREAD_UNCHANGED) >= 128
    painted = {where: label[20, slice(*columns)].mean() for where, columns in strokes.items()}
    assert painted == dict.fromkeys(strokes, 1), "the label has the whole of every stroke"
    assert not label[235, slice(*hand)].any(), "what was erased is background"
