"""The recipe `transformer`: PaddleNLP's published checkpoint for translation -> a network.

Needs, in what was fetched, `transformer.pdparams` (the state dict of PaddleNLP's
`TransformerModel` with norms before each part) and the vocabulary. How many layers there are, how
wide they are and how many words there are is read from the weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from paddlesrv.errors import IntegrityError, NotFound, UsageError
from paddlesrv.models.tensor import Array
from paddlesrv.recipes.checkpoints import read_pdparams

_WORDS = "src_word_embedding.word_embedding.weight"
_TARGET_WORDS = "trg_word_embedding.word_embedding.weight"
_HEAD = "linear.weight"
_SIDES = {"encoder": ("self_attn",), "decoder": ("self_attn", "cross_attn")}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What neither weights nor vocabulary say; the defaults are PaddleNLP's for its base model."""

    vocabulary: str
    """Path of the vocabulary in what was fetched, and in the model's directory."""
    checkpoint: str = "transformer.pdparams"
    """Name of the checkpoint's file, wherever it lies."""
    heads: int = 8
    start_id: int = 0
    end_id: int = 1
    pad_id: int = 0
    beam_size: int = 5
    max_output_length: int = 256
    max_tokens: int = 256


def build(source: Path, target: Path, options: Mapping[str, Any]) -> None:
    """Make `inference.json`, `inference.pdiparams` and a copy of the vocabulary.

    Raises:
        NotFound: the checkpoint or the vocabulary is not in `source`.
        IntegrityError: a weight is missing or of another shape than the others say, or the
            vocabulary has more words than the weights.
        UsageError: the options are not those of this recipe.
    """
    try:
        wanted = msgspec.convert(options, Options)
    except msgspec.ValidationError as error:
        raise UsageError(f"options of the recipe transformer: {error}") from error
    vocabulary = source / wanted.vocabulary
    if not vocabulary.is_file():
        raise NotFound(
            f"there is no {wanted.vocabulary}, the vocabulary, in what was fetched",
            context={"comes with": "the data set WMT14.en-de of PaddleNLP, vocab_all.bpe.33708"},
        )
    weights = read_pdparams(_checkpoint(source, wanted.checkpoint))
    layers = check(weights, wanted.heads)
    words = vocabulary.read_bytes().count(b"\n")
    if words > weights[_WORDS].shape[0]:
        raise IntegrityError(
            f"{wanted.vocabulary} has {words} words, and {wanted.checkpoint} only"
            f" {weights[_WORDS].shape[0]}: they do not belong together"
        )

    from paddlesrv.recipes.transformer_network import Sizes, Translator, save

    sizes = Sizes(
        layers=layers,
        heads=wanted.heads,
        start_id=wanted.start_id,
        end_id=wanted.end_id,
        pad_id=wanted.pad_id,
        beam_size=wanted.beam_size,
        max_output_length=wanted.max_output_length,
    )
    # Without a head of its own the network uses its table of words, which source and target share.
    own = (_TARGET_WORDS, _HEAD) if _HEAD in weights else ()
    known = {name: weights[name] for name in (*expected(weights, layers), *own)}
    save(Translator(known, sizes, wanted.max_tokens), str(target / "inference"))
    copy = target / wanted.vocabulary
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(vocabulary, copy)


def check(weights: Mapping[str, Array], heads: int) -> int:
    """That all weights of such a network are there and fit each other; how many layers it has.

    Raises:
        IntegrityError: they are not, or do not.
    """
    if _WORDS not in weights or weights[_WORDS].ndim != 2:
        raise IntegrityError(
            f"the checkpoint has no table {_WORDS}: it is not one of PaddleNLP's TransformerModel",
            context={"it has": ", ".join(sorted(weights)[:5]) or "no weights"},
        )
    layers = 0
    while f"transformer.encoder.layers.{layers}.linear1.weight" in weights:
        layers += 1
    width = weights[_WORDS].shape[1]
    if width % heads:
        raise IntegrityError(f"the checkpoint is {width} wide, which {heads} heads do not divide")
    for name, shape in expected(weights, max(layers, 1)).items():
        if name not in weights:
            raise IntegrityError(
                f"the checkpoint lacks {name}, which should be {list(shape)}",
                hints=["only networks with norms before each part (normalize_before) are known"]
                if name.endswith("coder.norm.weight")
                else [],
            )
        if weights[name].shape != shape:
            raise IntegrityError(
                f"{name} of the checkpoint is {list(weights[name].shape)}, expected {list(shape)}"
            )
    if _HEAD in weights:
        rows = weights[_HEAD].shape[-1]
        for name, shape in ((_TARGET_WORDS, (rows, width)), (_HEAD, (width, rows))):
            if name not in weights or weights[name].shape != shape:
                raise IntegrityError(f"{name} of the checkpoint is missing, or not {list(shape)}")
    return layers


def expected(weights: Mapping[str, Array], layers: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all weights but those that may be shared."""
    words, width = weights[_WORDS].shape
    first = weights.get("transformer.encoder.layers.0.linear1.weight")
    inner = int(first.shape[-1]) if first is not None else 4 * width
    shapes: dict[str, tuple[int, ...]] = {_WORDS: (words, width)}
    for side, attentions in _SIDES.items():
        for layer in (f"transformer.{side}.layers.{i}" for i in range(layers)):
            for attention in attentions:
                for part in ("q", "k", "v", "out"):
                    shapes[f"{layer}.{attention}.{part}_proj.weight"] = (width, width)
                    shapes[f"{layer}.{attention}.{part}_proj.bias"] = (width,)
            shapes[f"{layer}.linear1.weight"] = (width, inner)
            shapes[f"{layer}.linear1.bias"] = (inner,)
            shapes[f"{layer}.linear2.weight"] = (inner, width)
            shapes[f"{layer}.linear2.bias"] = (width,)
            norms = [f"{layer}.norm{i}" for i in range(1, len(attentions) + 2)]
            shapes |= {f"{norm}.{kind}": (width,) for norm in norms for kind in ("weight", "bias")}
        shapes |= {f"transformer.{side}.norm.{kind}": (width,) for kind in ("weight", "bias")}
    return shapes


def _checkpoint(source: Path, name: str) -> Path:
    found = sorted(source.rglob(name))
    if len(found) == 1:
        return found[0]
    told = [str(path.relative_to(source)) for path in found]
    raise NotFound(
        f"{'several files' if found else 'no file'} called {name}, the checkpoint, in what was"
        " fetched",
        context={"there are": ", ".join(told) or "none"},
        hints=["it is in tranformer-base-wmt_ende_bpe.tar.gz of PaddleNLP"],
    )
