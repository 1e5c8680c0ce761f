"""Stand-ins for the twelve detectors: they find things of three colours, and where they are.

Each undoes the normalisation that its model's picture must have gone through, and looks for red,
green and blue as a display has them: what is fed with other statistics, with channels the other
way round or with another order of steps is not those colours any more, and its score falls. The
box around all pixels of a colour goes through Paddle's own NMS, as in the published networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from tests.standins import serving_conf
from tests.standins.serving_conf import INT32, Variable

COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}
COCO = {"red": 0, "green": 58, "blue": 8}
VOC = {"red": 14, "green": 15, "blue": 3}
FACE = {"red": 1}
"""Class of each colour; of the detector of faces, 0 is the background."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
BOXES = "save_infer_model/scale_0.tmp_1"
COUNTS = "save_infer_model/scale_1.tmp_1"
MASKS = "save_infer_model/scale_2.tmp_1"

Nms = Literal["multiclass_nms", "multiclass_nms3", "matrix_nms"]


class Standin(NamedTuple):
    """What one detector takes, and how it ends."""

    side: int = -1
    mean: tuple[float, float, float] = IMAGENET[0]
    std: tuple[float, float, float] = IMAGENET[1]
    divide_by: float = 255
    bgr: bool = False
    classes: dict[str, int] = COCO
    class_count: int = 80
    inputs: tuple[str, ...] = ("im_shape", "image", "scale_factor")
    nms: Nms = "multiclass_nms3"
    boxes: str = BOXES
    counts: bool = True
    never_empty: bool = False
    """As Faster R-CNN: with nothing found, one box that nothing is sure of."""
    masks: bool = False
    server_dir: str = "serving_server"
    client_dir: str = "serving_client"


class _Graph:
    """A ProgramDesc in the making: operators by name, as old programs hold them."""

    def __init__(self) -> None:
        import paddle

        paddle.enable_static()
        self.paddle = paddle
        self.program = paddle.static.Program()
        self.startup = paddle.static.Program()

    def op(
        self, kind: str, inputs: dict[str, Any], dtype: str = "float32", **attributes: Any
    ) -> Any:
        """One operator with one output that matters."""
        outputs = {"Output" if kind == "conv2d" else "Out": dtype}
        if kind in ("reshape2", "squeeze2", "unsqueeze2"):
            outputs["XShape"] = dtype
        return self.ops(kind, inputs, outputs, **attributes)[0]

    def ops(
        self,
        kind: str,
        inputs: dict[str, Any],
        outputs: dict[str, str],
        named: Sequence[str] = (),
        **attributes: Any,
    ) -> list[Any]:
        """One operator with several outputs, by slot and type."""
        block = self.program.global_block()
        names = [*named, *[None] * (len(outputs) - len(named))]
        made = [
            block.create_var(
                name=name or self.paddle.utils.unique_name.generate(f"{kind}.tmp"), dtype=dtype
            )
            for name, dtype in zip(names, outputs.values(), strict=True)
        ]
        block.append_op(
            type=kind,
            inputs={
                slot: each if isinstance(each, list) else [each] for slot, each in inputs.items()
            },
            outputs={slot: [each] for slot, each in zip(outputs, made, strict=True)},
            attrs=attributes,
        )
        return made

    def constant(self, values: Any, dtype: str = "float32") -> Any:
        """A parameter with these values."""
        array = np.asarray(values, dtype)
        return self.paddle.static.create_parameter(
            list(array.shape), dtype, default_initializer=self.paddle.nn.initializer.Assign(array)
        )

    def times(self, x: Any, y: Any, axis: int = -1) -> Any:
        return self.op("elementwise_mul", {"X": x, "Y": y}, axis=axis)

    def plus(self, x: Any, y: Any, axis: int = -1) -> Any:
        return self.op("elementwise_add", {"X": x, "Y": y}, axis=axis)

    def over(self, x: Any, y: Any) -> Any:
        return self.op("elementwise_div", {"X": x, "Y": y}, axis=-1)

    def affine(self, x: Any, scale: float, bias: float) -> Any:
        return self.op("scale", {"X": x}, scale=scale, bias=bias, bias_after_scale=True)

    def largest(self, x: Any, axes: list[int]) -> Any:
        return self.op("reduce_max", {"X": x}, dim=axes, keep_dim=False, reduce_all=False)

    def cast(self, x: Any, dtype: str) -> Any:
        import paddle.base.framework as framework

        return self.op(
            "cast", {"X": x}, dtype, in_dtype=x.dtype,
            out_dtype=framework.convert_np_dtype_to_dtype_(dtype),
        )  # fmt: skip

    def renamed(self, x: Any, name: str, dtype: str = "float32") -> Any:
        """The same under another name, by an operator that does nothing, as exporters do it."""
        return self.ops(
            "scale", {"X": x}, {"Out": dtype}, [name], scale=1.0, bias=0.0, bias_after_scale=True
        )[0]


def build(standin: Standin) -> Callable[[Path], None]:
    """What writes a detector's archive into an empty directory."""

    def write(directory: Path) -> None:
        graph = _Graph()
        with graph.paddle.static.program_guard(graph.program, graph.startup):
            feeds = _feeds(graph, standin)
            fetches = _network(graph, standin, {feed.name: feed for feed in feeds})
            _save(graph, standin, feeds, fetches, directory)

    return write


def _feeds(graph: _Graph, standin: Standin) -> list[Any]:
    shapes = {"image": [-1, 3, standin.side, standin.side]}
    return [
        graph.paddle.static.data(
            name, shapes.get(name, [-1, 2]), "int32" if name == "im_size" else "float32"
        )
        for name in standin.inputs
    ]


def _network(graph: _Graph, standin: Standin, feeds: dict[str, Any]) -> list[Any]:
    distance = _distances(graph, standin, feeds["image"])
    # 1 where the colour is right, 0 from a quarter of its brightness away.
    likeness = graph.op("relu", {"X": graph.affine(distance, -4.0, 1.0)})
    inside = graph.cast(
        graph.op("less_than", {"X": distance, "Y": graph.constant([0.5])}, "bool", axis=-1),
        "float32",
    )
    x1, x2, width = _extent(graph, graph.largest(inside, [2]))
    y1, y2, height = _extent(graph, graph.largest(inside, [3]))
    x1, x2 = (_in_picture(graph, standin, feeds, x, width, 1) for x in (x1, x2))
    y1, y2 = (_in_picture(graph, standin, feeds, y, height, 0) for y in (y1, y2))
    boxes = graph.ops("stack", {"X": [x1, y1, x2, y2]}, {"Y": "float32"}, axis=2)[0]
    scores = graph.largest(likeness, [2, 3])
    return _end(graph, standin, feeds, boxes, scores, inside)


def _distances(graph: _Graph, standin: Standin, image: Any) -> Any:
    """Pictures -> how far each pixel is from each colour, 0 to 3: N x colours x H x W."""
    targets = [COLOURS[name] for name in standin.classes]
    factors = np.array(standin.std) * standin.divide_by / 255
    offsets = np.array(standin.mean) * standin.divide_by / 255
    channels = [2, 1, 0] if standin.bgr else [0, 1, 2]
    weights = np.zeros((3 * len(targets), 3, 1, 1))
    bias = np.zeros(3 * len(targets))
    for number, target in enumerate(targets):
        for place, channel in enumerate(channels):
            weights[3 * number + place, place] = factors[place]
            bias[3 * number + place] = offsets[place] - target[channel]
    total = np.zeros((len(targets), 3 * len(targets), 1, 1))
    for number in range(len(targets)):
        total[number, 3 * number : 3 * number + 3] = 1
    differences = graph.plus(_convolved(graph, image, weights), graph.constant(bias), 1)
    return _convolved(graph, graph.op("abs", {"X": differences}), total)


def _convolved(graph: _Graph, x: Any, weights: Any) -> Any:
    return graph.op(
        "conv2d", {"Input": x, "Filter": graph.constant(weights)}, strides=[1, 1],
        paddings=[0, 0], dilations=[1, 1], groups=1, data_format="NCHW",
    )  # fmt: skip


def _extent(graph: _Graph, hit: Any) -> tuple[Any, Any, Any]:
    """N x colours x length of 0 and 1 -> first and (exclusive) last place, and the length."""
    ones = graph.affine(hit, 0.0, 1.0)
    places = graph.op("cumsum", {"X": ones}, axis=2, flatten=False, exclusive=False, reverse=False)
    left = graph.op("cumsum", {"X": ones}, axis=2, flatten=False, exclusive=False, reverse=True)
    length = graph.largest(places, [2])
    last = graph.largest(graph.times(hit, places), [2])
    before = graph.largest(graph.times(hit, left), [2])
    first = graph.op("elementwise_sub", {"X": length, "Y": before}, axis=-1)
    return first, last, length


def _in_picture(
    graph: _Graph, standin: Standin, feeds: dict[str, Any], place: Any, length: Any, axis: int
) -> Any:
    """A place on the network's input as the network answers it; `axis` 0 is down, 1 across."""

    def told(name: str) -> Any:
        x = feeds[name] if name != "im_size" else graph.cast(feeds[name], "float32")
        return graph.op("slice", {"Input": x}, axes=[1], starts=[axis], ends=[axis + 1])

    if "im_size" in feeds:
        return graph.times(graph.over(place, length), told("im_size"))
    if "scale_factor" not in feeds:
        return graph.over(place, length)
    found = graph.over(place, told("scale_factor"))
    if "im_shape" in feeds:
        limit = graph.over(told("im_shape"), told("scale_factor"))
        found = graph.op("elementwise_min", {"X": found, "Y": limit}, axis=-1)
    return found


def _end(
    graph: _Graph, standin: Standin, feeds: dict[str, Any], boxes: Any, scores: Any, inside: Any
) -> list[Any]:
    """Boxes (N x colours x 4) and scores (N x colours) -> what the network answers."""
    classes = np.zeros((1, standin.class_count, len(standin.classes)))
    for number, index in enumerate(standin.classes.values()):
        classes[0, index, number] = 1
    row = graph.op("unsqueeze2", {"X": scores}, axes=[1])
    by_class = graph.times(row, graph.constant(classes))
    old = standin.nms == "multiclass_nms"
    slots = {"Out": "float32"}
    if not old:
        slots |= {"Index": "int32"}
        slots |= {"NmsRoisNum" if standin.nms == "multiclass_nms3" else "RoisNum": "int32"}
    direct = standin.boxes.startswith("detection_output")
    attributes: dict[str, Any] = {
        "background_label": 0 if standin.classes is FACE else -1, "score_threshold": 0.05,
        "nms_top_k": 400, "keep_top_k": 100, "normalized": standin.classes is FACE,
    }  # fmt: skip
    if standin.nms == "matrix_nms":
        attributes |= {"post_threshold": 0.05, "use_gaussian": False, "gaussian_sigma": 2.0}
    else:
        attributes |= {"nms_threshold": 0.45, "nms_eta": 1.0}
    made = graph.ops(
        standin.nms, {"BBoxes": boxes, "Scores": by_class}, slots,
        [standin.boxes] if direct else [], **attributes,
    )  # fmt: skip
    if direct:
        return made[:1]
    rows, index, counts = made if not old else (made[0], None, None)
    if standin.never_empty:
        fake = graph.constant([[0.0, 0.0, 0.0, 0.0, 1.0, 1.0]])
        rows = graph.op("concat", {"X": [rows, fake]}, axis=0)
        counts = graph.op(
            "elementwise_add", {"X": counts, "Y": graph.constant([1], "int32")}, "int32", axis=-1
        )
    fetched = [graph.renamed(rows, standin.boxes)]
    if standin.counts and not old:
        fetched.append(graph.renamed(counts, COUNTS, "int32"))
    if standin.masks:
        fetched.append(_masks(graph, feeds, inside, index))
    return fetched


def _masks(graph: _Graph, feeds: dict[str, Any], inside: Any, index: Any) -> Any:
    """As Mask R-CNN: n masks of 0 and 1, as large as the picture that the network was told of."""
    size = graph.over(feeds["im_shape"], feeds["scale_factor"])
    size = graph.op("round", {"X": size})
    size = graph.op("reshape2", {"X": graph.cast(size, "int32")}, "int32", shape=[2])
    laid = graph.op(
        "nearest_interp_v2", {"X": inside, "OutSize": size}, interp_method="nearest",
        align_corners=False, data_layout="NCHW", out_h=-1, out_w=-1, scale=[],
    )  # fmt: skip
    laid = graph.op("squeeze2", {"X": laid}, axes=[0])
    index = graph.op("reshape2", {"X": index}, "int32", shape=[-1])
    places = graph.op("concat", {"X": [index, graph.constant([0], "int32")]}, "int32", axis=0)
    return graph.renamed(
        graph.cast(graph.op("gather", {"X": laid, "Index": places}), "int32"), MASKS, "int32"
    )


def _save(
    graph: _Graph, standin: Standin, feeds: list[Any], fetches: list[Any], directory: Path
) -> None:
    paddle = graph.paddle
    executor = paddle.static.Executor(paddle.CPUPlace())
    executor.run(graph.startup)
    server = directory / standin.server_dir
    server.mkdir()
    paddle.static.save_inference_model(
        str(server / "saved"), feeds, fetches, executor, program=graph.program
    )
    (server / "saved.pdmodel").rename(server / "__model__")
    (server / "saved.pdiparams").rename(server / "__params__")
    inputs = [
        Variable(name, name, (3, standin.side, standin.side))
        if name == "image"
        else Variable(name, name, (2,), INT32 if name == "im_size" else serving_conf.FLOAT32)
        for name in standin.inputs
    ]
    shapes: dict[str, tuple[tuple[int, ...], int]] = {
        COUNTS: ((-1,), INT32),
        MASKS: ((-1, -1), INT32),
    }
    outputs = [
        Variable(each.name, each.name, *shapes[each.name])
        if each.name in shapes
        else Variable(each.name, each.name, (6,), lod=True)
        for each in fetches
    ]
    serving_conf.write(server, inputs, outputs)
    serving_conf.write_client(directory / standin.client_dir, inputs, outputs)


_YOLOV3 = Standin(side=608)

STANDINS: dict[str, Callable[[Path], None]] = {
    "blazeface/blazeface.tar.gz": build(
        Standin(
            mean=(104, 117, 123),
            std=(127.502231, 127.502231, 127.502231),
            divide_by=1,
            bgr=True,
            classes=FACE,
            class_count=2,
            inputs=("image",),
            nms="multiclass_nms",
            boxes="detection_output_0.tmp_0",
        )
    ),
    "cascade_mask_rcnn_r50_vd_fpn_ssld_2x_coco/"
    "cascade_mask_rcnn_r50_vd_fpn_ssld_2x_coco_serving.tar.gz": build(
        Standin(never_empty=True, masks=True)
    ),
    "yolov4/yolov4.tar.gz": build(
        Standin(
            side=608,
            mean=(0, 0, 0),
            std=(1, 1, 1),
            inputs=("image", "im_size"),
            nms="multiclass_nms",
            boxes="save_infer_model/scale_0.tmp_0",
            server_dir="yolov4_model",
            client_dir="yolov4_client",
        )
    ),
    "faster_rcnn_hrnetv2p_w18_1x/faster_rcnn_hrnetv2p_w18_1x.tar.gz": build(
        Standin(never_empty=True)
    ),
    # Without counts: what is known of this archive is its boxes alone.
    "fcos_dcn_r50_fpn_1x_coco/fcos_dcn_r50_fpn_1x_coco.tar": build(
        Standin(inputs=("image", "scale_factor"), counts=False)
    ),
    "ssd_vgg16_300_240e_voc/ssd_vgg16_300_240e_voc.tar": build(
        Standin(
            side=300, mean=(104, 117, 123), std=(1, 1, 1), divide_by=1, classes=VOC, class_count=20
        )
    ),
    "yolov3_darknet53_270e_coco/yolov3_darknet53_270e_coco.tar": build(_YOLOV3),
    "YOLOv3-DarkNet/yolov3_darknet53_270e_coco.tar": build(_YOLOV3),
    "faster_rcnn_r50_fpn_1x_coco/faster_rcnn_r50_fpn_1x_coco.tar": build(Standin(never_empty=True)),
    "ppyolo_r50vd_dcn_1x_coco/ppyolo_r50vd_dcn_1x_coco.tar": build(
        Standin(side=608, nms="matrix_nms")
    ),
    "ppyolo_mbv3_large_coco/ppyolo_mbv3_large_coco.tar": build(Standin(side=320, nms="matrix_nms")),
    # The published network picks its boxes without an NMS operator, of one picture at a time.
    "ttfnet_darknet53_1x_coco/ttfnet_darknet53_1x_coco.tar": build(
        Standin(
            side=512,
            mean=(123.675, 116.28, 103.53),
            std=(58.395, 57.12, 57.375),
            divide_by=1,
        )
    ),
}
