"""A tiny real Paddle program, packed as model zoos pack theirs, and catalogues that name it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from paddlesrv.zoo.catalogue import Catalogue

DATA = Path(__file__).parent / "data"
PROGRAM = (DATA / "tiny.pdmodel").read_bytes()
PARAMS = (DATA / "tiny.pdiparams").read_bytes()
SERVER_CONF = (
    'feed_var {\n  name: "x"\n  alias_name: "image"\n  is_lod_tensor: false\n  feed_type: 1\n'
    "  shape: 3\n  shape: 640\n  shape: 640\n}\n"
    'fetch_var {\n  name: "conv2d_0.tmp_1"\n  alias_name: "concat_1.tmp_0"\n'
    "  is_lod_tensor: false\n  fetch_type: 1\n  shape: 1\n  shape: 640\n  shape: 640\n}\n"
)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def serving_archive(name: str = "ocr_det") -> bytes:
    """As Paddle Serving's zoo packs a model: a directory for the server, one for its clients."""
    return tar_gz(
        {
            f"{name}_model/__model__": PROGRAM,
            f"{name}_model/__params__": PARAMS,
            f"{name}_model/serving_server_conf.prototxt": SERVER_CONF.encode(),
            f"{name}_client/serving_client_conf.prototxt": SERVER_CONF.encode(),
        }
    )


def tar_gz(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def wheel(package: str = "tiny_models") -> bytes:
    """A wheel with a model and a list of labels among its files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{package}/__init__.py", "raise SystemExit('never run')")
        archive.writestr(f"{package}/tiny/inference.pdmodel", PROGRAM)
        archive.writestr(f"{package}/tiny/inference.pdiparams", PARAMS)
        archive.writestr(f"{package}/labels.txt", "text\n")
    return buffer.getvalue()


def entry(name: str, *sources: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "task": "text-detection",
        "collection": "test",
        "description": "a tiny network",
        "status": "ready",
        "sources": list(sources),
        "outputs": [{"role": "map"}],
        **fields,
    }


def https(url: str, **fields: Any) -> dict[str, Any]:
    """A source at a URL; see `catalogue` for why it is written as https."""
    return {"kind": "https", "url": url.replace("http:", "https:"), **fields}


def wheel_source(file: str, body: bytes, members: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": "wheel",
        "package": "Tiny.Models",
        "version": "1.0",
        "file": file,
        "sha256": sha256(body),
        "size": len(body),
        "members": members,
    }


def catalogue(directory: Path, *entries: dict[str, Any]) -> Catalogue:
    """A catalogue with these entries.

    Manifests may only name https: addresses. The test's server has no certificate, so that the
    addresses are put back to http: once the manifest is read.
    """
    path = directory / "manifest.yaml"
    path.write_bytes(msgspec.yaml.encode({"schema": 1, "models": list(entries)}))
    loaded = Catalogue.load(path)
    return Catalogue([_plain(e) for e in loaded.entries], path=path)


def _plain(entry: Any) -> Any:
    extras = tuple(
        msgspec.structs.replace(extra, source=_plain_source(extra.source)) for extra in entry.extras
    )
    sources = tuple(_plain_source(source) for source in entry.sources)
    return msgspec.structs.replace(entry, sources=sources, extras=extras)


def _plain_source(source: Any) -> Any:
    if not hasattr(source, "url"):
        return source
    return msgspec.structs.replace(source, url=source.url.replace("https://127.", "http://127."))
