"""Stand-ins for the networks that read: dark is text, and colours are characters.

The detectors answer how dark a pixel is. The recognisers look at the middle rows of a line, in
steps of eight columns: red, green, blue and black are four characters of PaddleOCR's dictionary,
white is none. Both undo their normalisation: what is fed otherwise is dark or coloured otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.standins import serving_conf
from tests.standins.serving_conf import INT64, Variable

if TYPE_CHECKING:
    from tests.standins.programs import Program

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
DARK = 0.45
_STEEP = 40.0
_STEP = 8

LINES = 6623
"""Lines of PaddleOCR's dictionary."""
CHARACTERS = {"red": 100, "green": 200, "blue": 300, "black": 400}
"""Line of the dictionary that a colour stands for, counted from 0."""
BGR = {
    "red": (0, 0, 1), "green": (0, 1, 0), "blue": (1, 0, 0), "black": (0, 0, 0), "white": (1, 1, 1),
}  # fmt: skip
# In case of doubt it is none, and a colour rather than black.
_BONUS = {"white": 0.2, "black": -0.2}

CONV = {
    "strides": [1, 1], "paddings": [0, 0], "dilations": [1, 1], "groups": 1,
    "padding_algorithm": "EXPLICIT", "data_format": "NCHW",
}  # fmt: skip


def _detector(program: Program, image: str, output: str) -> tuple[Any, Any]:
    x = program.feed(image, (-1, 3, -1, -1), "float32")
    weight = program.weight((STD / 3).reshape(1, 3, 1, 1))
    grey = program.add("conv2d", {"Input": x, "Filter": weight}, "Output", **CONV)
    bias = _STEEP * (DARK - float(MEAN.mean()))
    darkness = program.add("scale", {"X": grey}, scale=-_STEEP, bias=bias, bias_after_scale=True)
    return x, program.add("sigmoid", {"X": darkness}, name=output)


def _scores(program: Program, image: str, classes: int, blank: int, first: int) -> tuple[Any, Any]:
    """The input, and a number for each class and step: batch x classes x 1 x steps."""
    weight, bias = np.zeros((classes, 3, 1, 1)), np.full(classes, -4 * _STEEP)
    for name, colour in BGR.items():
        index = blank if name == "white" else CHARACTERS[name] + first
        p = np.array(colour, float)
        # Fed are 2 c - 1 of each channel c: 2 p.c - |p|^2 is p.x + |p| - |p|^2.
        weight[index, :, 0, 0] = _STEEP * p
        bias[index] = _STEEP * (p.sum() - p @ p + _BONUS.get(name, 0))
    x = program.feed(image, (-1, 3, 32, -1), "float32")
    rows = program.add(
        "slice", {"Input": x}, axes=[2], starts=[12], ends=[20], infer_flags=[1], decrease_axis=[]
    )
    size = {"ksize": [_STEP, _STEP], "strides": [_STEP, _STEP], "paddings": [0, 0]}
    steps = program.add(
        "pool2d", {"X": rows}, pooling_type="avg", global_pooling=False, exclusive=True,
        adaptive=False, ceil_mode=False, data_format="NCHW", padding_algorithm="EXPLICIT", **size,
    )  # fmt: skip
    found = program.add(
        "conv2d", {"Input": steps, "Filter": program.weight(weight)}, "Output", **CONV
    )
    return x, program.add("elementwise_add", {"X": found, "Y": program.weight(bias)}, axis=1)


def _published(program: Program, place: Path, feed: Any, fetch: Any) -> None:
    """As PaddleOCR offers its networks."""
    program.save(place, [feed], [fetch])
    (place / "__model__").rename(place / "inference.pdmodel")
    (place / "__params__").rename(place / "inference.pdiparams")


def _ppocr_det(name: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        from tests.standins.programs import Program

        program = Program()
        tensors = _detector(program, "x", "save_infer_model/scale_0.tmp_1")
        _published(program, directory / f"{name}_infer", *tensors)

    return write


def _ppocr_rec(name: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        from tests.standins.programs import Program

        program = Program()
        x, scores = _scores(program, "x", LINES + 2, blank=0, first=1)
        flat = program.add("squeeze2", {"X": scores}, others=("XShape",), axes=[2])
        steps = program.add("transpose2", {"X": flat}, others=("XShape",), axis=[0, 2, 1])
        answer = program.add("softmax", {"X": steps}, name="save_infer_model/scale_0.tmp_1", axis=2)
        _published(program, directory / f"{name}_infer", x, answer)

    return write


def _ocr_det(directory: Path) -> None:
    from tests.standins.programs import Program

    program = Program()
    x, found = _detector(program, "image", "concat_1.tmp_0")
    program.save(directory / "ocr_det_model", [x], [found])
    feeds = [Variable("image", "image", (3, -1, -1))]
    fetches = [Variable("concat_1.tmp_0", "concat_1.tmp_0", (1, -1, -1))]
    serving_conf.write(directory / "ocr_det_model", feeds, fetches)
    serving_conf.write_client(directory / "ocr_det_client", feeds, fetches)


def _ocr_rec(directory: Path) -> None:
    """With the decoder inside: sequences of characters, and of scores for each step."""
    from tests.standins.programs import Program

    program = Program()
    x, scores = _scores(program, "image", LINES + 1, blank=LINES, first=0)
    steps = program.add(
        "im2sequence", {"X": scores}, lod=True, kernels=[1, 1], strides=[1, 1],
        paddings=[0, 0, 0, 0],
    )  # fmt: skip
    softmax = program.add("softmax", {"X": steps}, name="softmax_0.tmp_0", lod=True, axis=1)
    best = program.add(
        "top_k", {"X": softmax}, "Indices", dtype="int64", lod=True, others=("Out",), k=1
    )
    decoded = program.add(
        "ctc_align", {"Input": best}, "Output", dtype="int64", lod=True,
        name="ctc_greedy_decoder_0.tmp_0", blank=LINES, merge_repeated=True,
    )  # fmt: skip
    program.save(directory / "ocr_rec_model", [x], [decoded, softmax])
    feeds = [Variable("image", "image", (3, 32, -1))]
    fetches = [
        Variable("ctc_greedy_decoder_0.tmp_0", "ctc_greedy_decoder_0.tmp_0", (1,), INT64, True),
        Variable("softmax_0.tmp_0", "softmax_0.tmp_0", (LINES + 1,), lod=True),
    ]
    serving_conf.write(directory / "ocr_rec_model", feeds, fetches)
    serving_conf.write_client(directory / "ocr_rec_client", feeds, fetches)


STANDINS: dict[str, Callable[[Path], None]] = {
    "ocr_det/ocr_det.tar.gz": _ocr_det,
    "ocr_rec/ocr_rec.tar.gz": _ocr_rec,
}
for _size in ("mobile", "server"):
    for _kind, _builder in (("det", _ppocr_det), ("rec", _ppocr_rec)):
        _name = f"ch_ppocr_{_size}_v2.0_{_kind}"
        STANDINS[f"{_name}/{_name}_infer.tar"] = _builder(_name)
