"""Memory of one engine over requests of changing sizes, in a process of its own.

python -m benchmarks.memory PP-OCRv4_mobile_det --engine onnxruntime --requests 10000
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineName, EngineOptions
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.settings import from_environment
from paddlesrv.zoo.store import Store

LOOKS = (1, 10, 100, 300, 1000, 3000, 10_000, 30_000)


def resident_mb() -> float:
    """Resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def batch(spec: ModelSpec, chance: random.Random, sides: tuple[int, int]) -> dict[str, Tensor]:
    """One request whose variable sides are multiples of 32, of one or two rows."""
    inputs = {}
    rows = chance.randint(1, min(2, spec.max_batch_size))
    for declared in spec.inputs:
        free = [chance.randint(sides[0] // 32, sides[1] // 32) * 32 for _ in declared.shape[1:]]
        shape = [f if side < 0 else side for f, side in zip(free, declared.shape[1:], strict=True)]
        if "rec" in spec.name:  # lines are 48 high
            shape[1] = 48
        inputs[declared.name] = Tensor(np.zeros((rows, *shape), declared.dtype))
    return inputs


def main() -> None:
    """Run requests of changing sizes and print the resident memory on the way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--engine", default="paddle")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--sides", type=int, nargs=2, default=(32, 320), help="smallest, largest")
    args = parser.parse_args()
    model = Store(from_environment().cache_dir).installed(args.model)
    if model is None:
        parser.exit(1, f"paddlesrv get {args.model}\n")
    engine_name: EngineName = args.engine
    engine = load_engine(model.spec, model.directory, EngineOptions(engine=engine_name))
    chance = random.Random(0)
    shapes = set()
    started = time.perf_counter()
    print(f"{args.model} on {engine_name}, sides {args.sides[0]} to {args.sides[1]}")
    print(f"{'requests':>9}{'shapes':>8}{'RSS MB':>9}{'seconds':>9}")
    print(f"{0:>9}{0:>8}{resident_mb():>9.0f}{0:>9}")
    for done in range(1, args.requests + 1):
        inputs = batch(model.spec, chance, tuple(args.sides))
        shapes.add(tuple(tensor.data.shape for tensor in inputs.values()))
        engine.run(inputs)
        if done in LOOKS or done == args.requests:
            seconds = time.perf_counter() - started
            print(f"{done:>9}{len(shapes):>8}{resident_mb():>9.0f}{seconds:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
