"""Stand-ins for the two segmenters: class 1 is where the blue of a pixel is above half."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.standins import serving_conf
from tests.standins.serving_conf import INT64, Variable

SIDE = 512
LEAST_BLUE = 127.5


def build(server: str, client: str) -> Callable[[Path], None]:
    """What writes a segmenter's archive into an empty directory."""

    def write(directory: Path) -> None:
        import paddle

        paddle.enable_static()
        image = paddle.static.data("image", [-1, SIDE, SIDE, 3], "float32")
        blue = paddle.slice(image, [3], [0], [1])
        mask = paddle.squeeze(paddle.cast(blue > LEAST_BLUE, "int64"), [3])
        executor = paddle.static.Executor(paddle.CPUPlace())
        place = directory / server
        place.mkdir(parents=True)
        paddle.static.save_inference_model(str(place / "net"), [image], [mask], executor)
        (place / "net.pdmodel").rename(place / "__model__")
        (place / "net.pdiparams").unlink(missing_ok=True)
        tensors = (
            [Variable("image", "image", (SIDE, SIDE, 3))],
            [Variable(mask.name, "output", (SIDE, SIDE), INT64)],
        )
        serving_conf.write(place, *tensors)
        serving_conf.write_client(directory / client, *tensors)

    return write


STANDINS: dict[str, Callable[[Path], None]] = {
    "deeplabv3/deeplabv3.tar.gz": build("deeplabv3_server", "deeplabv3_client"),
    "unet/unet.tar.gz": build("unet_model", "unet_client"),
}
