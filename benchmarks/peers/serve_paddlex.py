"""A classifier served by PaddleX 3.4.3: its basic serving, `paddlex --serve`.

Tuned by the documentation of PaddleX ("Basic Serving" of pipelines): there is little to tune. It
merges no requests and has one process; oneDNN is what it runs on CPUs with by default, and the
number of threads is the one that all have. `model_dir` in a pipeline's file is one's own model.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from network import Job

MODEL = "MobileNetV3_small_x1_0"
"""A name that PaddleX knows; which network it runs, the files decide."""
DESCRIPTION = {
    "Global": {"model_name": MODEL},
    "PreProcess": {
        "transform_ops": [
            {"ResizeImage": {"resize_short": 256}},
            {"CropImage": {"size": 224}},
            {
                "NormalizeImage": {
                    "channel_num": 3,
                    "mean": [0.485, 0.456, 0.406],
                    "std": [0.229, 0.224, 0.225],
                    "scale": 1 / 255,
                    "order": "",
                }
            },
            {"ToCHWImage": None},
        ]
    },
    "PostProcess": {"Topk": {"topk": 5, "label_list": [f"class {i}" for i in range(1000)]}},
}


def main():
    job = Job()
    folder = Path("paddlex").absolute()
    folder.mkdir()
    for name in ("inference.pdmodel", "inference.pdiparams"):
        shutil.copy(Path(job.paddle, name), folder)
    # JSON is YAML.
    (folder / "inference.yml").write_text(json.dumps(DESCRIPTION))
    module = {
        "module_name": "image_classification",
        "model_name": MODEL,
        "model_dir": str(folder),
        "batch_size": 1,
        "topk": 5,
    }
    pipeline = {
        "pipeline_name": "image_classification",
        "SubModules": {"ImageClassification": module},
        "Serving": {"visualize": False},
    }
    file = folder / "pipeline.yaml"
    file.write_text(json.dumps(pipeline))
    program = str(Path(sys.executable).with_name("paddlex"))
    words = ["--serve", "--pipeline", str(file), "--device", "cpu"]
    words += ["--host", "127.0.0.1", "--port", str(job.port)]
    threads = {"PADDLE_PDX_CPU_NUM_THREADS": str(job.threads)}
    home = {"PADDLE_PDX_CACHE_HOME": str(folder / "home")}
    os.execve(program, [program, *words], {**os.environ, **threads, **home})


if __name__ == "__main__":
    main()
