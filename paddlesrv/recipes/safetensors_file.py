"""safetensors: a JSON header that says where each tensor lies, then the bytes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from paddlesrv.recipes.arrays import BFLOAT16, TENSORS_MAX, Arrays, damaged, file_bytes, some, view

HEADER_BYTES_MAX = 100_000_000
_SAFETENSORS: dict[str, str] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": BFLOAT16, "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read_safetensors(path: Path) -> Arrays:
    """The tensors of a safetensors file, by name; bfloat16 as float32.

    Raises:
        IntegrityError: it is damaged or is none.
        SourceUnreachable: it cannot be read.
    """
    data = memoryview(file_bytes(path))
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(HEADER_BYTES_MAX, len(data) - 8):
        raise damaged(path, "its header is longer than the file")
    body = data[8 + length :]
    try:
        header = msgspec.json.decode(bytes(data[8 : 8 + length]), type=dict[str, msgspec.Raw])
        header.pop("__metadata__", None)
        places = {name: msgspec.json.decode(raw, type=_Place) for name, raw in header.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(path, f"its header: {error}") from error
    if len(places) > TENSORS_MAX:
        raise damaged(path, f"more than {TENSORS_MAX} tensors")
    arrays: Arrays = {}
    end = 0
    for name, place in sorted(places.items(), key=lambda item: item[1].data_offsets):
        if place.dtype not in _SAFETENSORS:
            raise damaged(path, f"a tensor of type {place.dtype}, which is not supported")
        first, last = place.data_offsets
        # Whole and without overlap, so that no byte is seen twice or not at all.
        if first != end or not first <= last <= len(body):
            raise damaged(path, f"{name} does not begin where the tensor before it ends")
        end = last
        try:
            arrays[name] = view(body[first:last], _SAFETENSORS[place.dtype], place.shape)
        except ValueError as error:
            raise damaged(path, f"{name}: {error}") from error
    if end != len(body):
        raise damaged(path, "bytes that belong to no tensor")
    return some(arrays, path)


class _Place(msgspec.Struct, frozen=True):
    """What a safetensors header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]
