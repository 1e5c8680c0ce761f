"""The real architectures of classifiers and segmenters, with seeded weights and fewer channels.

The stand-ins beside this are small networks whose right answer is known; these are the networks
that the published archives hold, as the packages of their makers build them: what an engine's
passes break, they break in these. Each archive holds besides, in `expected.npz` at its root, an
input (`x`) and what the network answered to it before it was saved (`y`).

Paddle Serving's three ResNet50_vd of KL, FPGM and PACT are that network here, without the nodes
of quantisation. `resnet_v2_50_imagenet` is the ResNet-50 of paddle.vision, which activates after
its convolutions and not before: no package builds the other. PaddleDetection's networks are not
here: its package saves them with an older Paddle only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests import packages
from tests.standins import serving_conf
from tests.standins.serving_conf import INT64, Variable

CLASSES = 1000
SEED = 20220901
ROWS = 2


def thin(by: int) -> None:
    """From now on, in this process, layers have so many times fewer channels.

    A network's operators, and how they are joined, stay the same.
    """
    import paddle

    def fewer(channels: int) -> int:
        # Colours stay three, and scores as many as there are classes.
        return channels if channels <= 4 or channels == CLASSES else max(1, channels // by)

    def thinner(layer: Any, sides: int) -> Any:
        class Thinner(layer):  # type: ignore[misc]
            def __init__(self, *arguments: Any, **named: Any) -> None:
                for key in _CHANNELS & named.keys():
                    named[key] = fewer(named[key])
                arguments = (*map(fewer, arguments[:sides]), *arguments[sides:])
                super().__init__(*arguments, **named)

        Thinner.__name__ = Thinner.__qualname__ = layer.__name__
        return Thinner

    for name, sides in (("Conv2D", 2), ("BatchNorm", 1), ("BatchNorm2D", 1), ("Linear", 2)):
        setattr(paddle.nn, name, thinner(getattr(paddle.nn, name), sides))


_CHANNELS = {
    "in_channels", "out_channels", "groups", "num_channels", "num_features", "in_features",
    "out_features",
}  # fmt: skip


def paddleclas(module: str) -> Any:
    """One module of PaddleClas' architectures; what it would fetch weights with is left out."""
    root = packages.unpacked("paddleclas") / "paddleclas"
    places = ("ppcls", "ppcls/arch", "ppcls/arch/backbone", "ppcls/arch/backbone/base",
              "ppcls/arch/backbone/legendary_models", "ppcls/arch/backbone/model_zoo",
              "ppcls/utils")  # fmt: skip
    _bare("paddleclas", root)
    for place in places:
        _bare("paddleclas." + place.replace("/", "."), root / place)
    _aside("paddleclas.ppcls.utils.save_load", load_dygraph_pretrain=_without_weights)
    log = _aside("paddleclas.ppcls.utils.logger", warning=_silent, info=_silent, error=_silent)
    sys.modules["paddleclas.ppcls.utils"].logger = log  # type: ignore[attr-defined]
    return _imported(f"paddleclas.ppcls.arch.backbone.{module}")


def paddleseg(module: str) -> Any:
    """One module of PaddleSeg's; what it would fetch weights with is left out."""
    root = packages.unpacked("paddleseg") / "paddleseg"
    for place in ("", "cvlibs", "models", "models/backbones"):
        _bare(".".join(["paddleseg", *filter(None, place.split("/"))]), root / place)
    manager = _imported("paddleseg.cvlibs.manager")
    sys.modules["paddleseg.cvlibs"].manager = manager  # type: ignore[attr-defined]
    inner = _aside("paddleseg.utils.utils", load_pretrained_model=_without_weights)
    utils = _aside("paddleseg.utils", utils=inner, load_entire_model=_without_weights)
    sys.modules["paddleseg"].utils = utils  # type: ignore[attr-defined]
    sys.modules["paddleseg.models"].layers = _imported(  # type: ignore[attr-defined]
        "paddleseg.models.layers"
    )
    return _imported(f"paddleseg.models.{module}")


def _silent(*_: Any) -> None:
    """In the place of a logger."""


def _without_weights(network: Any, weights: Any) -> None:
    """In the place of what loads the weights that a network was trained to; they are drawn."""


def _bare(name: str, place: Path) -> None:
    """A package whose own `__init__` is not run."""
    module = ModuleType(name)
    module.__path__ = [str(place)]
    sys.modules[name] = module


def _aside(name: str, **contents: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
    return module


def _imported(name: str) -> Any:
    import importlib

    return importlib.import_module(name)


# -- the networks ------------------------------------------------------------------------------


def _resnet50_vd() -> Any:
    thin(4)
    return paddleclas("legendary_models.resnet").ResNet50_vd()


def _resnext() -> Any:
    thin(4)
    network = paddleclas("model_zoo.resnext_vd").ResNeXt101_vd_64x4d()
    network.pool2d_avg_channels //= 4  # it counts them by itself
    return network


def _darknet() -> Any:
    thin(4)
    return paddleclas("model_zoo.darknet").DarkNet53()


def _hrnet() -> Any:
    thin(2)
    return paddleclas("legendary_models.hrnet").HRNet_W18_C()


def _mobilenet_v1() -> Any:
    return paddleclas("legendary_models.mobilenet_v1").MobileNetV1_x0_25()


def _mobilenet_v2() -> Any:
    return paddleclas("model_zoo.mobilenet_v2").MobileNetV2_x0_25()


def _mobilenet_v3() -> Any:
    import paddle

    # PaddleClas' own uses paddle.multiply, which no longer goes into a program of the old form.
    return paddle.vision.models.mobilenet_v3_large(scale=0.5)


def _shufflenet() -> Any:
    return paddleclas("model_zoo.shufflenet_v2").ShuffleNetV2_x0_25()


def _resnet50() -> Any:
    thin(4)
    import paddle

    return paddle.vision.models.resnet50()


def _vision_mobilenet_v2() -> Any:
    import paddle

    return paddle.vision.models.mobilenet_v2(scale=0.25)


def _deeplab() -> Any:
    thin(4)
    backbone = paddleseg("backbones.resnet_vd").ResNet50_vd(output_stride=8)
    return paddleseg("deeplab").DeepLabV3(2, backbone, backbone_indices=(3,))


def _unet() -> Any:
    thin(4)
    return paddleseg("unet").UNet(2)


# -- their archives ----------------------------------------------------------------------------


def classifier(
    network: Callable[[], Any], place: str, image: str, alias: str, *, softmax: bool = True
) -> Callable[[Path], None]:
    """What writes a classifier's archive into an empty directory."""

    def write(directory: Path) -> None:
        import paddle

        paddle.seed(SEED)
        inner = network()

        class Classifier(paddle.nn.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, x: Any) -> Any:
                scores = self.inner(x)
                return paddle.nn.functional.softmax(scores) if softmax else scores

        x = np.random.default_rng(SEED).standard_normal((ROWS, 3, 224, 224)).astype(np.float32)
        feed = Variable(image, image, (3, 224, 224))
        _save(Classifier(), x, feed, alias, directory, place)

    return write


def segmenter(network: Callable[[], Any], place: str) -> Callable[[Path], None]:
    """What writes a segmenter's archive into an empty directory."""

    def write(directory: Path) -> None:
        import paddle

        paddle.seed(SEED)
        inner = network()

        class Segmenter(paddle.nn.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, x: Any) -> Any:
                channels_first = paddle.transpose(x / 127.5 - 1, [0, 3, 1, 2])
                (scores,) = self.inner(channels_first)
                # Of two classes; paddle.argmax no longer goes into a program of the old form.
                return paddle.cast(scores[:, 1] > scores[:, 0], "int64")

        random = np.random.default_rng(SEED)
        x = random.integers(0, 256, (1, 512, 512, 3)).astype(np.float32)
        feed = Variable("image", "image", (512, 512, 3))
        _save(Segmenter(), x, feed, "output", directory, place, INT64)

    return write


def _save(
    network: Any, x: np.ndarray, feed: Variable, alias: str, root: Path, place: str, kind: int = 1
) -> None:
    import paddle

    _settle(network, x)
    network.eval()
    y = network(paddle.to_tensor(x)).numpy()
    assert np.isfinite(y).all()
    assert np.ptp(y) > 0, "a network that says the same of everything proves nothing"
    directory = root / place
    directory.mkdir(parents=True)
    spec = paddle.static.InputSpec([None, *feed.shape], "float32", feed.name)
    paddle.jit.save(network, str(directory / "net"), [spec])
    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    _, _, fetched = paddle.static.load_inference_model(str(directory / "net"), executor)
    for found, wanted in (("net.pdmodel", "__model__"), ("net.pdiparams", "__params__")):
        (directory / found).rename(directory / wanted)
    for rest in directory.glob("net.*"):
        rest.unlink()
    serving_conf.write(directory, [feed], [Variable(fetched[0].name, alias, y.shape[1:], kind)])
    np.savez(root / "expected.npz", x=x, y=y)


def _settle(network: Any, x: np.ndarray) -> None:
    """Statistics of each batch normalisation as after a training: no layer's output fades."""
    import paddle

    for layer in network.sublayers():
        if hasattr(layer, "_momentum"):
            layer._momentum = 0.0
    network.train()
    with paddle.no_grad():
        network(paddle.to_tensor(x))


def _clas(name: str, network: Callable[[], Any], image: str, alias: str) -> dict[str, Any]:
    return {f"{name}/{name}.tar": classifier(network, f"{name}/ppcls_model", image, alias)}


STANDINS: dict[str, Callable[[Path], None]] = {
    "resnet_v2_50_imagenet/resnet_v2_50_imagenet.tar.gz": classifier(
        _resnet50, "resnet_v2_50_imagenet_model", "image", "score"
    ),
    "mobilenet_v2_imagenet/mobilenet_v2_imagenet.tar.gz": classifier(
        _vision_mobilenet_v2, "mobilenet_v2_imagenet_model", "image", "feature_map", softmax=False
    ),
    **_clas("ResNet50_vd", _resnet50_vd, "image", "prediction"),
    **_clas("ResNet50_vd_KL", _resnet50_vd, "inputs", "save_infer_model/scale_0.tmp_0"),
    **_clas("ResNet50_vd_FPGM", _resnet50_vd, "image", "save_infer_model/scale_0.tmp_1"),
    **_clas("ResNet50_vd_PACT", _resnet50_vd, "inputs", "save_infer_model/scale_0.tmp_1"),
    **_clas("ResNeXt101_vd_64x4d", _resnext, "image", "prediction"),
    **_clas("DarkNet53", _darknet, "image", "prediction"),
    **_clas("MobileNetV1", _mobilenet_v1, "image", "prediction"),
    **_clas("MobileNetV2", _mobilenet_v2, "image", "prediction"),
    **_clas("MobileNetV3_large_x1_0", _mobilenet_v3, "image", "prediction"),
    **_clas("HRNet_W18_C", _hrnet, "image", "prediction"),
    **_clas("ShuffleNetV2_x1_0", _shufflenet, "image", "prediction"),
    "deeplabv3/deeplabv3.tar.gz": segmenter(_deeplab, "deeplabv3_server"),
    "unet/unet.tar.gz": segmenter(_unet, "unet_model"),
}
