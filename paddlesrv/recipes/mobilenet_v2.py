"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) of torchvision's weights, with a softmax.

Paddle's own MobileNetV2 has the same layers under the same names, but for those of the statistics.
Options: `weights`, the path of the `.pth` file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddlesrv.errors import IntegrityError
from paddlesrv.recipes.checkpoints import read_torch
from paddlesrv.recipes.export import save_layer
from paddlesrv.recipes.options import weights_file

VERSION = 2
PROGRAM_DESC = True

_RENAMED = {"running_mean": "_mean", "running_var": "_variance"}
_LINEAR = "classifier.1.weight"


def build(source: Path, target: Path, options: Mapping[str, Any]) -> None:
    """See the module.

    Raises:
        IntegrityError: the weights are not those of this network.
    """
    import paddle

    arrays = {}
    for name, array in read_torch(weights_file(source, options)).items():
        stem, _, last = name.rpartition(".")
        if last != "num_batches_tracked":
            arrays[f"{stem}.{_RENAMED.get(last, last)}"] = array.T if name == _LINEAR else array
    network = paddle.vision.models.mobilenet_v2(pretrained=False)
    state = network.state_dict()
    wrong = sorted(set(state) ^ set(arrays)) or sorted(
        name for name in state if tuple(state[name].shape) != arrays[name].shape
    )
    if wrong:
        raise IntegrityError(
            "these are not the weights of MobileNetV2 with 1000 classes",
            context={"missing, unknown or of another shape": ", ".join(wrong[:5])},
        )
    network.set_state_dict(
        {name: paddle.to_tensor(np.ascontiguousarray(array)) for name, array in arrays.items()}
    )
    whole = paddle.nn.Sequential(network, paddle.nn.Softmax())
    save_layer(whole, [("image", "float32", (-1, 3, 224, 224))], target)
