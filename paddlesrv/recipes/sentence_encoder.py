"""BERT encoders of sentence-transformers: a safetensors file with its `config.json`.

The network is BERT's (Devlin et al. 2018, arXiv 1810.04805). Its outputs are a vector for each
token, and one for the text: the mean over the tokens that are not padding, of length 1 (Reimers
and Gurevych 2019, arXiv 1908.10084). Options: `weights`, `config` and `vocabulary`, paths.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from paddlesrv.errors import IntegrityError
from paddlesrv.recipes.checkpoints import read_safetensors
from paddlesrv.recipes.export import Named, Weights, save_function
from paddlesrv.recipes.options import weights_file

VOCABULARY = "vocab.txt"
_MASKED = -1e4
"""Added to the score of a token that is padding; its weight is then exactly 0 in float32."""
_MATRICES = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "out": "attention.output.dense", "wide": "intermediate.dense", "narrow": "output.dense",
}  # fmt: skip
_NORMS = {"norm_1": "attention.output.LayerNorm", "norm_2": "output.LayerNorm"}
_TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
_Size = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Config(msgspec.Struct, frozen=True):
    """What is read of a BERT's `config.json`."""

    model_type: Literal["bert"]
    hidden_size: _Size
    num_attention_heads: _Size
    num_hidden_layers: Annotated[int, msgspec.Meta(ge=1, le=100)]
    hidden_act: Literal["gelu"] = "gelu"
    layer_norm_eps: float = 1e-12
    position_embedding_type: Literal["absolute"] = "absolute"


def build(source: Path, target: Path, options: Mapping[str, Any]) -> None:
    """See the module.

    Raises:
        IntegrityError: the weights are not those of such a network.
    """
    try:
        written = weights_file(source, options, "config").read_bytes()
        config = msgspec.json.decode(written, type=Config)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"its config.json is not that of a BERT encoder: {error}") from error
    arrays = read_safetensors(weights_file(source, options))
    checkpoint = Named({name.removeprefix("bert."): array for name, array in arrays.items()})
    weights = _weights(checkpoint, config)
    inputs = [
        (name, "int64", (-1, -1)) for name in ("input_ids", "token_type_ids", "attention_mask")
    ]
    save_function(_network(config), weights, inputs, target)
    shutil.copyfile(weights_file(source, options, "vocabulary"), target / VOCABULARY)


def _weights(checkpoint: Named, config: Config) -> Weights:
    size = config.hidden_size
    weights: Weights = {}
    for name in _TABLES:
        weights[name] = checkpoint.take(f"embeddings.{name}.weight", (-1, size))
    for part in ("weight", "bias"):
        weights[f"norm.{part}"] = checkpoint.take(f"embeddings.LayerNorm.{part}", (size,))
    for number in range(config.num_hidden_layers):
        at = f"encoder.layer.{number}."
        for name, written in _MATRICES.items():
            # PyTorch keeps a matrix as [out, in].
            weights[f"{number}.{name}.weight"] = checkpoint.take(f"{at}{written}.weight").T
            weights[f"{number}.{name}.bias"] = checkpoint.take(f"{at}{written}.bias")
        for name, written in _NORMS.items():
            for part in ("weight", "bias"):
                weights[f"{number}.{name}.{part}"] = checkpoint.take(
                    f"{at}{written}.{part}", (size,)
                )
    return weights


def _network(config: Config) -> Any:
    size, heads = config.hidden_size, config.num_attention_heads
    if size % heads:
        raise IntegrityError(f"its config.json divides {size} numbers among {heads} heads")
    width, layers, epsilon = size // heads, config.num_hidden_layers, config.layer_norm_eps

    def forward(w: Any, input_ids: Any, token_type_ids: Any, attention_mask: Any) -> Any:
        import paddle
        from paddle.nn import functional

        def dense(x: Any, name: str) -> Any:
            return functional.linear(x, w[name + ".weight"], w[name + ".bias"])

        def normal(x: Any, name: str) -> Any:
            weight, bias = w[name + ".weight"], w[name + ".bias"]
            return functional.layer_norm(x, [size], weight, bias, epsilon)

        def divided(x: Any) -> Any:
            return x.reshape([0, 0, heads, width]).transpose([0, 2, 1, 3])

        kept = attention_mask.astype("float32")
        hidden = (1.0 - kept).unsqueeze([1, 2]) * _MASKED
        positions = paddle.cumsum(paddle.ones_like(input_ids), 1) - 1
        x = functional.embedding(input_ids, w["word_embeddings"])
        x = x + functional.embedding(positions, w["position_embeddings"])
        x = x + functional.embedding(token_type_ids, w["token_type_embeddings"])
        x = normal(x, "norm")
        for number in range(layers):
            at = f"{number}."
            query, key = divided(dense(x, at + "query")), divided(dense(x, at + "key"))
            scores = paddle.matmul(query, key, transpose_y=True) / math.sqrt(width) + hidden
            seen = paddle.matmul(functional.softmax(scores), divided(dense(x, at + "value")))
            seen = seen.transpose([0, 2, 1, 3]).reshape([0, 0, size])
            x = normal(x + dense(seen, at + "out"), at + "norm_1")
            wide = functional.gelu(dense(x, at + "wide"))
            x = normal(x + dense(wide, at + "narrow"), at + "norm_2")
        mean = (x * kept.unsqueeze(2)).sum(1) / kept.sum(1, keepdim=True).clip(min=1.0)
        return x, functional.normalize(mean, axis=1)

    return forward
