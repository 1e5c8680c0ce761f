"""Which engines are installed, and what they were built for; found without importing them.

Importing paddle takes seconds and hundreds of megabytes, too much for a refusal or for `version`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

import msgspec

from paddlesrv.engines.base import EngineName

_PACKAGES: dict[EngineName, tuple[str, str, str]] = {
    # engine: package, the file in it that says how it was built, the name of its version there
    "paddle": ("paddle", "version/__init__.py", "full_version"),
    "onnxruntime": ("onnxruntime", "capi/build_and_package_info.py", "__version__"),
    "openvino": ("openvino", "", ""),  # says its version through its library alone
}
_DISTRIBUTIONS: dict[EngineName, tuple[str, str]] = {
    # engine: without and with CUDA
    "paddle": ("paddlepaddle", "paddlepaddle-gpu"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino", "openvino"),
}


class Build(msgspec.Struct, frozen=True):
    """One installed engine.

    `cuda` is the CUDA version that it was built for, if any; `tensorrt` tells whether it can use
    TensorRT, if that is there.
    """

    engine: EngineName
    distribution: str
    version: str
    cuda: str | None = None
    tensorrt: bool = False

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({'cuda ' + self.cuda if self.cuda else 'cpu'})"


def distribution(engine: EngineName, cuda: bool) -> str:
    """The name of the package that brings an engine, without or with CUDA."""
    return _DISTRIBUTIONS[engine][cuda]


def find_build(engine: EngineName) -> Build | None:
    """The installed build of an engine, or None if it is not installed."""
    package, file, version_name = _PACKAGES[engine]
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    if not file:
        return Build(engine, distribution(engine, cuda=False), _distributed(engine))
    try:
        text = (Path(spec.origin).parent / file).read_text(errors="replace")
    except OSError:
        text = ""
    return parse_build(engine, text, version_name)


def _distributed(engine: EngineName) -> str:
    try:
        return importlib.metadata.version(distribution(engine, cuda=False))
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def parse_build(engine: EngineName, text: str, version_name: str) -> Build:
    """A build from the assignments in an engine's own version file."""
    values = dict(re.findall(r"^(\w+)\s*=\s*['\"]([^'\"\n]*)['\"]", text, re.MULTILINE))
    cuda = values.get("cuda_version", "")
    has_cuda = cuda[:1].isdigit() or values.get("package_name", "").endswith("-gpu")
    return Build(
        engine=engine,
        distribution=distribution(engine, has_cuda),
        version=values.get(version_name, "unknown"),
        cuda=(cuda or "unknown") if has_cuda else None,
        # onnxruntime-gpu always brings the provider, paddle says what it was built with.
        tensorrt=has_cuda
        and (engine == "onnxruntime" or values.get("tensorrt_version", "")[:1].isdigit()),
    )
