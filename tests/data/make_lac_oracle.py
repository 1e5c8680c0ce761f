"""Makes lac_oracle.jsonl: what the Python package `lac` 2.1.2 itself answers to lac_sentences.txt.

    python tests/data/make_lac_oracle.py LAC-2.1.2/LAC tests/data/lac_oracle.jsonl

The argument is the package's directory, unpacked from its sdist. It needs paddlepaddle 3.

The package imports `paddle.fluid`, which no longer exists. This script puts a stand-in of that
name in its place: four names of its old predictor (PaddleTensor, AnalysisConfig,
create_paddle_predictor and the answer's `lod` and `data.int64_data()`), carried over to
paddle.inference and run without oneDNN. All else that decides an answer is the package's own
code, unchanged: dictionaries, segmentation, ids, lengths, tags to words.

Each text is given to the package alone, as a string.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import inference

SENTENCES = Path(__file__).with_name("lac_sentences.txt")
# What cannot stand on a line of its own in a text file.
ODD = (
    " ", "  ", "\t", "\n", "\u3000", "两行\n文字", "制表\t符", "回车\r\n换行", " 前后有空格 ",
    "\u200b零宽空格", "\ufeff带有标记", "行分隔\u2028符号", "\x00", "下一行\x85符号",
)  # fmt: skip


class OldTensor:
    """paddle.fluid.core.PaddleTensor."""

    def __init__(self, data: np.ndarray) -> None:
        self.values = data
        self.lod: list[list[int]] = []
        self.shape: list[int] = list(data.shape)

    @property
    def data(self) -> OldTensor:
        return self

    def int64_data(self) -> list[int]:
        return [int(value) for value in self.values.reshape(-1)]


class OldConfig:
    """paddle.fluid.core.AnalysisConfig."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def disable_glog_info(self) -> None:
        """Quietness is set where the predictor is made."""


class OldPredictor:
    """What create_paddle_predictor answered."""

    def __init__(self, config: OldConfig) -> None:
        new = inference.Config(config.directory)
        new.disable_glog_info()
        new.disable_gpu()
        new.disable_onednn()
        self._predictor = inference.create_predictor(new)

    def run(self, tensors: list[OldTensor]) -> list[OldTensor]:
        words = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
        words.copy_from_cpu(tensors[0].values.reshape(tensors[0].shape))
        words.set_lod(tensors[0].lod)
        self._predictor.run()
        tags = self._predictor.get_output_handle(self._predictor.get_output_names()[0])
        answer = OldTensor(tags.copy_to_cpu())
        answer.lod = tags.lod()
        return [answer]


def put_in_fluid() -> None:
    """Make `import paddle.fluid` give the stand-in."""
    core: Any = types.ModuleType("paddle.fluid.core")
    core.PaddleTensor = OldTensor
    core.AnalysisConfig = OldConfig
    core.create_paddle_predictor = OldPredictor
    fluid: Any = types.ModuleType("paddle.fluid")
    fluid.core = core
    fluid.CPUPlace = lambda: None
    fluid.Executor = lambda place: None
    fluid.is_compiled_with_cuda = lambda: False
    sys.modules["paddle.fluid"] = fluid
    sys.modules["paddle.fluid.core"] = core
    paddle.fluid = fluid


def main() -> None:
    """Write one line of JSON for each text: text, words, tags."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("package", type=Path)
    arguments.add_argument("output", type=Path)
    given = arguments.parse_args()
    put_in_fluid()
    sys.path.insert(0, str(given.package.resolve().parent))
    lac = importlib.import_module(given.package.name).LAC(mode="lac")
    texts = [*SENTENCES.read_text(encoding="utf-8").split("\n")[:-1], *ODD]
    with given.output.open("w", encoding="utf-8") as output:
        for text in texts:
            words, tags = lac.run(text)
            line = {"text": text, "words": words, "tags": tags}
            output.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
