"""The twelve detectors on pictures with coloured rectangles, which their stand-ins look for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from paddlesrv.tasks.run_length import RunLengths, decode
from tests.zoo import drawn
from tests.zoo.row import Row

BGR = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
COCO = {"red": ("person", 0), "green": ("potted plant", 58), "blue": ("boat", 8)}
VOC = {"red": ("person", 14), "green": ("pottedplant", 15), "blue": ("boat", 3)}
FACE = {"red": ("face", 1)}

Box = tuple[int, int, int, int]


class Scene(NamedTuple):
    """A picture: its height and width, and the box of what is in it, by colour."""

    size: tuple[int, int]
    things: dict[str, Box]

    def file(self) -> bytes:
        """As PNG: dull colours that change slowly, and the things."""
        height, width = self.size
        y, x = np.mgrid[0:height, 0:width]
        dull = np.stack([90 + x * 60 // width, 120 + y * 40 // height, 140 - x * 50 // width], -1)
        pixels = np.ascontiguousarray(dull.astype(np.uint8))
        for colour, (x1, y1, x2, y2) in self.things.items():
            pixels[y1:y2, x1:x2] = BGR[colour]
        done, data = cv2.imencode(".png", pixels)
        assert done
        return bytes(data)


# Four of one size, which can share a batch: of them two hold nothing, first or last.
SCENES = [
    Scene((480, 640), {}),
    Scene((480, 640), {"red": (64, 48, 256, 240), "blue": (400, 200, 560, 440)}),
    Scene((480, 640), {"red": (300, 300, 420, 460)}),
    Scene((480, 640), {}),
    Scene((500, 333), {"red": (20, 250, 140, 480), "green": (100, 60, 300, 200)}),
    Scene((700, 1000), {"red": (0, 0, 300, 200), "green": (700, 500, 1000, 700),
                        "blue": (400, 300, 600, 450)}),
    Scene((32, 48), {"red": (8, 8, 32, 24)}),
]  # fmt: skip


def _check(names: dict[str, tuple[str, int]], masks: bool) -> Callable[[int, dict[str, Any]], None]:
    def check(number: int, result: dict[str, Any]) -> None:
        scene = SCENES[number]
        expected = {names[c]: box for c, box in scene.things.items() if c in names}
        found = {(each["label"], each["index"]): each for each in result["boxes"]}
        assert len(found) == len(result["boxes"])
        assert found.keys() == expected.keys()
        height, width = scene.size
        # An edge lies between two pixels of what was fed, and what was fed may be much smaller.
        slack = (width / 250 + 1, height / 250 + 1) * 2
        for key, box in expected.items():
            one = found[key]
            # A hundredth of a colour's brightness off, and it would be 0.96.
            assert one["score"] > 0.99
            assert (np.abs(np.subtract(one["box"], box)) <= slack).all(), (one["box"], box)
            x1, y1, x2, y2 = one["box"]
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
            assert ("mask" in one) == masks
            if masks:
                mask = decode(RunLengths(tuple(one["mask"]["size"]), one["mask"]["counts"]))
                truth = np.zeros(scene.size, bool)
                truth[box[1] : box[3], box[0] : box[2]] = True
                edge = 2 * (box[2] - box[0] + box[3] - box[1])
                assert (mask != truth).sum() <= edge

    return check


MORE = drawn.scenes(("red", "green", "blue"))


def _row(model: str, names: dict[str, tuple[str, int]] = COCO, masks: bool = False) -> Row:
    return Row(model, [scene.file() for scene in SCENES], _check(names, masks), MORE)


ROWS = [
    _row("blazeface", FACE),
    _row("cascade_mask_rcnn_r50_vd_fpn_ssld_2x_coco", masks=True),
    _row("yolov4"),
    _row("faster_rcnn_hrnetv2p_w18_1x"),
    _row("fcos_dcn_r50_fpn_1x_coco"),
    _row("ssd_vgg16_300_240e_voc", VOC),
    _row("yolov3_darknet53_270e_coco"),
    _row("YOLOv3-DarkNet"),
    _row("faster_rcnn_r50_fpn_1x_coco"),
    _row("ppyolo_r50vd_dcn_1x_coco"),
    _row("ppyolo_mbv3_large_coco"),
    _row("ttfnet_darknet53_1x_coco"),
]
