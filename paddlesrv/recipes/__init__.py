"""How models are made of files that hold no network: published weights, checkpoints, other formats.

A recipe is a module here with `build(source, target, options)`, which reads the fetched files in
`source` and writes the model's directory `target`, and, once what it writes changes, `VERSION`
(1 without it). With `PROGRAM_DESC` its network is written in Paddle's older form, which converts
for other engines; some networks can be written in the newer one (PIR) alone. It runs in a process
of its own (`worker`), so it may import paddle, inside functions. It raises `paddlesrv.errors` for
what it misses, and says precisely what it needs. Nothing that a file holds is ever run: weights are
read as numbers (`checkpoints`).
"""

from __future__ import annotations

from collections.abc import Mapping

RECIPES: Mapping[str, str] = {
    "efficientnet_lite": "paddlesrv.recipes.efficientnet_lite",
    "mobilenet_v2": "paddlesrv.recipes.mobilenet_v2",
    "sentence_encoder": "paddlesrv.recipes.sentence_encoder",
    "ssd_mobilenet": "paddlesrv.recipes.ssd_mobilenet",
    "tflite_network": "paddlesrv.recipes.tflite_network",
    "wide_and_deep": "paddlesrv.recipes.wide_and_deep",
    "transformer": "paddlesrv.recipes.transformer",
}
"""Name in the catalogue -> module."""
