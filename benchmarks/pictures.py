"""Pictures: milliseconds from the bytes of a file to a network's input, for each task and size.

With `--against` another checkout is measured too, in turns, in processes of its own.

    python -m benchmarks.pictures --against ../paddlesrv-before
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from typing import Any

MODELS = {
    "image-classification": "ResNet50_vd",
    "object-detection": "yolov3_darknet53_270e_coco",
    "detection, floats resized": "faster_rcnn_r50_fpn_1x_coco",
    "image-segmentation": "deeplabv3",
    "text-detection": "PP-OCRv4_mobile_det",
}
WHOLE = "ocr (all pixels)"
SIZES = ((240, 320), (720, 1280), (1500, 2000), (3000, 4000))
REPEATS = 5
FASTEST_SECONDS = 0.05
"""At least so long is measured at a time."""


def photograph(height: int, width: int) -> bytes:
    """A JPEG that is as hard to decode as a photograph: soft shapes, hard edges, noise."""
    import cv2
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    cells = random.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), np.uint8)
    soft = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    soft += random.integers(-12, 13, (height, width, 3), np.int16)
    picture = np.clip(soft, 0, 255).astype(np.uint8)
    for _ in range(30):
        x, y = int(random.integers(width)), int(random.integers(height))
        cv2.circle(picture, (x, y), height // 15, random.integers(0, 256, 3).tolist(), 3)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88)
    return file.getvalue()


def ways() -> dict[str, Any]:
    """What is measured: from the bytes of a file to what the network is fed."""
    from paddlesrv.models.spec import ModelSpec, TensorSpec
    from paddlesrv.tasks import make_task
    from paddlesrv.tasks.base import TaskInput, TaskOptions
    from paddlesrv.tasks.images import decode
    from paddlesrv.zoo.catalogue import Catalogue

    def way(name: str) -> Any:
        entry = Catalogue.load().get(name)
        image = TensorSpec(name="image", dtype="float32", shape=(-1, 3, -1, -1), role="image")
        spec = ModelSpec(
            name=name, task=entry.task, format="onnx", inputs=(image,),
            outputs=(TensorSpec(name="out", dtype="float32", shape=(-1, 6)),),
            parameters=entry.parameters,
        )  # fmt: skip
        task: Any = make_task(spec, Path())
        return lambda data: task.pre(TaskInput("image", data), TaskOptions())

    return {label: way(name) for label, name in MODELS.items()} | {WHOLE: decode}


def measure(threads: int) -> dict[str, float]:
    """Milliseconds per picture by task and size; with several threads, of all of them together."""
    found = {}
    with ThreadPoolExecutor(threads) as pool:
        for height, width in SIZES:
            # The files are kept: the checkouts are measured with the same ones.
            file = Path(gettempdir(), f"paddlesrv-benchmark-{width}x{height}.jpg")
            if not file.exists():
                file.write_bytes(photograph(height, width))
            data = file.read_bytes()
            for task, way in ways().items():
                started = time.perf_counter()
                way(data)  # once before, for what is made at first use
                count = max(1, int(FASTEST_SECONDS / (time.perf_counter() - started))) * threads
                times = []
                for _ in range(REPEATS):
                    started = time.perf_counter()
                    list(pool.map(way, [data] * count))
                    times.append((time.perf_counter() - started) / count * 1000)
                found[f"{task:<27}{width:>5} x {height:<5}"] = min(times)
    return found


def measure_in(checkout: Path, threads: int) -> dict[str, float]:
    """`measure`, of the code in another directory."""
    command = [sys.executable, __file__, "--here", "--threads", str(threads)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(
        command, env=environment, cwd=checkout, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    """Measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(json.dumps(measure(args.threads)))
        return
    ours = Path(__file__).resolve().parents[1]
    checkouts = [ours, *([args.against.resolve()] if args.against else [])]
    times: dict[str, dict[Path, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(args.rounds):
        for checkout in checkouts:
            for point, milliseconds in measure_in(checkout, args.threads).items():
                times[point][checkout].append(milliseconds)
    print(f"{'':<40}{'ms':>9}" + (f"{'against':>9}{'ratio':>8}" if args.against else ""))
    for point, of in times.items():
        figures = [median(of[checkout]) for checkout in checkouts]
        line = f"{point:<40}" + "".join(f"{figure:>9.2f}" for figure in figures)
        print(line + (f"{figures[1] / figures[0]:>8.2f}" if args.against else ""))


if __name__ == "__main__":
    main()
