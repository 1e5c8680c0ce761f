"""Files out of pinned packages: photographs for tests, and code of others to hold ours against.

A package is downloaded once, checked by its digest, kept beside the real models, and only ever
unpacked: it is not installed, and its dependencies are not looked at.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

# One platform and Python for all, so that one digest does: only data and plain Python are used.
_TAGS = (
    "--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_24_x86_64",
    "--platform=manylinux2014_x86_64", "--platform=any", "--implementation=cp", "--abi=cp311",
    "--abi=none",
)  # fmt: skip


class Package(NamedTuple):
    """A wheel on the package index."""

    name: str
    version: str
    file: str
    sha256: str
    python: str = "3.11"


_PINNED = (
    Package(
        "scikit-image",
        "0.26.0",
        "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    ),
    Package(
        "scikit-learn",
        "1.9.1",
        "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    ),
    Package(
        "paddle-serving-app",
        "0.9.0",
        "paddle_serving_app-0.9.0-py3-none-any.whl",
        "cc240ada1b6df16a21af2dcf2e314e6cab6ab441a416cd5913909e31912720d5",
    ),
    Package(
        "paddleocr",
        "2.10.0",
        "paddleocr-2.10.0-py3-none-any.whl",
        "38df818d87a00af854cbfd14e33615edc3c4fa2caeb662149d51e6f2e212013f",
    ),
    Package(
        "paddle-serving-client",
        "0.9.0",
        "paddle_serving_client-0.9.0-cp39-none-any.whl",
        "acc2d8af6e678553617ad502be6e83dba18c508db4505585ff7e4a68716084db",
        "3.9",
    ),
    Package(
        "paddle-serving-server",
        "0.9.0",
        "paddle_serving_server-0.9.0-py3-none-any.whl",
        "85f741fd12d210fd5abe8607c6156e1c6597da7ca8fc7eadee99aaccb24d33c3",
    ),
    Package(
        "paddleclas",
        "2.6.0",
        "paddleclas-2.6.0-py3-none-any.whl",
        "3c12fd8994d95ed1b4fd60017cdbc12bb0e77a41a7921b022e9a6fb5d287fe8a",
    ),
    Package(
        "paddleseg",
        "2.8.0",
        "paddleseg-2.8.0-py3-none-any.whl",
        "299e70438e5a2df08ea169dfaee828c75c67c5015e958e9970ccc4d62a90d35c",
    ),
    Package(
        "paddlenlp",
        "2.8.1",
        "paddlenlp-2.8.1-py3-none-any.whl",
        "8cb5324ee5c39d29264ec5049ea5a6beeebb04a625b5a5c519b92475ea7d067f",
    ),
    Package(
        "sacremoses",
        "0.2.0",
        "sacremoses-0.2.0-py3-none-any.whl",
        "d413d118486b3a449f829566b3759a4b33bbc56b12496369316b52708585f594",
    ),
    Package(
        "min-tfs-client",
        "1.0.2",
        "min_tfs_client-1.0.2-py3-none-any.whl",
        "2e0bd3ea0d7fd96c22d043135171726f2fc6bb72c555f617ef9ebf4ab53c5a75",
    ),
    Package(
        "protobuf",
        "3.20.3",
        "protobuf-3.20.3-py2.py3-none-any.whl",
        "a7ca6d488aa8ff7f329d4c545b2dbad8ac31464f1d8b1c87ad1346717731e4db",
    ),
    Package(
        "subword-nmt",
        "0.3.8",
        "subword_nmt-0.3.8-py3-none-any.whl",
        "d22526b557752f35ac15e8ea384ea7773e50a51d966b8752d023d16cb87eac36",
    ),
)
PACKAGES = {package.name: package for package in _PINNED}

_PHOTOGRAPHS = (("scikit-image", "skimage/data"), ("scikit-learn", "sklearn/datasets/images"))


def cache() -> Path:
    """Where what tests have fetched or built is kept from run to run."""
    default = Path(__file__).parent.parent / ".cache" / "paddlesrv-tests"
    return Path(os.environ.get("PADDLESRV_TEST_HOME", default)).absolute()


def wheel(name: str) -> Path:
    """The file of a pinned package."""
    return fetch(PACKAGES[name])


def unpacked(name: str) -> Path:
    """A directory with the contents of a pinned package, fit for `sys.path`."""
    file = wheel(name)
    place = file.with_suffix("")
    if not place.is_dir():
        work = Path(tempfile.mkdtemp(dir=file.parent))
        with zipfile.ZipFile(file) as archive:
            archive.extractall(work)
        _publish(work, place)
    return place


def photograph(name: str) -> bytes:
    """A photograph that scikit-image ("chelsea.png") or scikit-learn ("china.jpg") comes with."""
    for package, folder in _PHOTOGRAPHS:
        with zipfile.ZipFile(wheel(package)) as archive:
            if f"{folder}/{name}" in archive.namelist():
                return archive.read(f"{folder}/{name}")
    raise KeyError(name)


@functools.cache
def fetch(package: Package) -> Path:
    """The file of a package, from the tests' cache or by pip; checked by its digest once a run."""
    place = cache() / "packages" / package.file
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=place.parent))
        requirement = f"{package.name}=={package.version}"
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
             *_TAGS, f"--python-version={package.python}", "-d", str(work), requirement],
            check=True,
        )  # fmt: skip
        (work / package.file).rename(place)
        shutil.rmtree(work)
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    assert digest == package.sha256, f"{place} is not {package.file}: remove it"
    return place


def _publish(work: Path, place: Path) -> None:
    """Rename, unless another process was faster."""
    try:
        work.rename(place)
    except OSError:
        shutil.rmtree(work)
        assert place.is_dir()
