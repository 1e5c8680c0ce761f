"""Compile `paddlesrv_client/wire/protos/*.proto` into `descriptors.binpb` beside them.

Needs grpcio-tools. Run it after any change of a definition:

    python clients/python/generate_descriptors.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

PROTOS = Path(__file__).parent / "paddlesrv_client" / "wire" / "protos"
TARGET = PROTOS / "descriptors.binpb"


def compiled(scratch: Path) -> bytes:
    """The definitions as one `FileDescriptorSet`, each file after those that it imports."""
    known = Path(grpc_tools.__file__).parent / "_proto"
    files = sorted(path.name for path in PROTOS.glob("*.proto"))
    arguments = ["protoc", f"-I{PROTOS}", f"-I{known}", "--include_imports", f"-o{scratch}", *files]
    if protoc.main(arguments):
        raise SystemExit("protoc failed")
    found = descriptor_pb2.FileDescriptorSet.FromString(scratch.read_bytes())
    own = [file for file in found.file if not file.name.startswith("google/")]
    return descriptor_pb2.FileDescriptorSet(file=own).SerializeToString(deterministic=True)


def main() -> None:
    """Write the file."""
    scratch = TARGET.with_suffix(".tmp")
    try:
        TARGET.write_bytes(compiled(scratch))
    finally:
        scratch.unlink(missing_ok=True)
    sys.stdout.write(f"{TARGET}\n")


if __name__ == "__main__":
    main()
