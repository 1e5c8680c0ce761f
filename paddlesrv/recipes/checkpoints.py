"""Weights out of checkpoints, as arrays by name: PyTorch's, Paddle's and safetensors.

Tensors only: a file can say nothing that is run (see `opcodes`), and whatever its bytes are, the
answer is arrays or an `IntegrityError`.
"""

from __future__ import annotations

from paddlesrv.recipes.arrays import Arrays
from paddlesrv.recipes.paddle_file import read_pdparams
from paddlesrv.recipes.safetensors_file import read_safetensors
from paddlesrv.recipes.torch_file import read_torch

__all__ = ["Arrays", "read_pdparams", "read_safetensors", "read_torch"]
