"""What a catalogue entry holds: the typed form of `zoo/manifest.yaml`.

It owns the shape of an entry and the rules that one entry keeps by itself; what entries must keep
among each other (unique names, known components) is checked where they are loaded together.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import force_setattr, replace

from paddlesrv.models.spec import Batching, DType

TaskName = Literal[
    "image-classification", "object-detection", "text-detection", "text-line-orientation",
    "text-recognition", "ocr", "image-segmentation", "lexical-analysis", "sentiment-analysis",
    "text-embedding", "translation", "click-through-rate", "table-structure", "tensors",
]  # fmt: skip
"""`tensors`: no pre- or post-processing; the model is served as its tensors are."""

Status = Literal["ready", "pipeline", "needs-export"]
"""`ready`: can be fetched and served. `pipeline`: made of other entries. `needs-export`: nobody
offers its inference files; `notes` say how to make them."""

ArchiveFormat = Literal["tar", "tar.gz", "zip"]

# Safe as a directory's name and, as it is, as one segment of a URL's path (RFC 3986, pchar).
Name = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+&-]*\Z", max_length=100, min_length=2)
]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Url = Annotated[str, msgspec.Meta(pattern=r"^https://[^\s?#]+\Z")]
Bytes = Annotated[int, msgspec.Meta(ge=1)]

SHIPPED = "zoo:"
"""Prefix of a file that comes with the catalogue itself: `zoo:labels/coco.txt`."""

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class HttpsSource(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="https",
):
    """An archive, or a single file, at a URL.

    `size` is exact, in bytes, and is checked; `approximate_size` is what a document says of it,
    good enough to show and to look for free space. Without a published `sha256` the digest is
    pinned at the first download.
    """

    url: Url
    sha256: Sha256 | None = None
    size: Bytes | None = None
    approximate_size: Bytes | None = None


class PackageSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files out of a package of a package manager; the package is never built or run.

    `members` maps a path inside `file` to a path in the model's directory. A path that ends in
    "/" stands for everything in that directory; "./" is the model's directory itself.
    """

    package: str
    version: str
    file: str
    sha256: Sha256
    size: Bytes
    members: dict[str, str]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("`members` names no file to take out of the package")
        for inside, target in self.members.items():
            _relative(inside)
            _relative(target)
            if inside.endswith("/") != target.endswith("/"):
                raise ValueError(f"member {inside!r} -> {target!r}: both or neither end in '/'")


class WheelSource(PackageSource, frozen=True, kw_only=True, tag_field="kind", tag="wheel"):
    """Files out of a wheel or sdist on the package index that pip uses."""


class TarballSource(PackageSource, frozen=True, kw_only=True, tag_field="kind", tag="tarball"):
    """Files out of a tarball on the registry that npm uses.

    `package` includes the scope ("@scope/name"); `file` is what `npm pack` calls it.
    """


class FileSource(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="file",
):
    """An archive or a directory on this machine; a relative path counts from the manifest."""

    path: str
    sha256: Sha256 | None = None


Source = HttpsSource | WheelSource | TarballSource | FileSource


class Extra(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something fetched in addition to the model, such as a dictionary that its archive lacks.

    `into` is where it goes in the model's directory: a path for a single file, a directory (with
    "/" at its end) for what an archive holds. A package's `members` say it themselves, so it is
    left out there.
    """

    source: Source
    into: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.source, PackageSource):
            if self.into is not None:
                raise ValueError("`into` has no meaning for a package: its `members` say it")
        elif self.into is None:
            raise ValueError("`into` is missing: where the file goes in the model's directory")
        else:
            _relative(self.into)


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where things lie once the source is unpacked; None where nobody has said so.

    `server_dir` holds the network (and Paddle Serving's `serving_server_conf.prototxt`),
    `client_dir` Paddle Serving's `serving_client_conf.prototxt`. Both are relative to the model's
    directory. Where they are None the files are looked for.
    """

    server_dir: str | None = None
    client_dir: str | None = None
    archive: ArchiveFormat | None = None

    def __post_init__(self) -> None:
        for path in (self.server_dir, self.client_dir):
            if path is not None:
                _relative(path)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model's files are made of what is fetched, which is no network by itself.

    `name` is one of `paddlesrv.recipes`; what `options` mean, that recipe says.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*\Z", max_length=60)]
    options: dict[str, Any] = {}


class TensorHint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model's files do not say of one tensor, or say wrongly; None leaves it to them.

    It belongs to the tensor called `name` in the files; without a name, to the one that the files
    or a `serving_*_conf.prototxt` know as `alias`; if there is no such one, to the only tensor on
    its side. `alias` is the name that Paddle Serving's clients send or fetch, and is answered to
    even where the files do not know it. `shape` includes the batch dimension, -1 is variable. One
    that is `optional` belongs to no other tensor, and its absence is no news: archives of one
    model differ in what they answer.

    In the manifest `{0..25}` inside `name`, `alias` or `role` stands for 26 hints that differ in
    that number; an `Entry` holds them one by one.
    """

    name: str | None = None
    alias: str | None = None
    role: str | None = None
    dtype: DType | None = None
    shape: tuple[int, ...] | None = None
    lod_level: Literal[0, 1] | None = None
    batching: Batching | None = None
    counts: str | None = None
    """For `batching: counts`: name or alias of the output with the rows per request. Where the
    files have no such output, the tensor divides by its offsets (`lod`), or not at all."""
    optional: bool = False

    def __post_init__(self) -> None:
        if self.name is None and self.alias is None and self.role is None:
            raise ValueError("a tensor needs a `name`, an `alias` or a `role`")
        if self.shape is not None and any(side == 0 or side < -1 for side in self.shape):
            raise ValueError(f"shape {list(self.shape)}: a side is at least 1, or -1 for any")
        if (self.batching == "counts") != (self.counts is not None):
            raise ValueError("`batching: counts` and `counts` go together")

    def expanded(self) -> tuple[TensorHint, ...]:
        """Itself, or what its `{first..last}` stands for."""
        found = _RANGE.search(f"{self.name} {self.alias} {self.role}")
        if found is None:
            return (self,)
        pattern, first, last = found.group(0), int(found.group(1)), int(found.group(2))
        texts = {field: getattr(self, field) for field in ("name", "alias", "role")}
        return tuple(
            replace(
                self, **{f: t.replace(pattern, str(i)) for f, t in texts.items() if t is not None}
            )
            for i in range(first, last + 1)
        )


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of the catalogue: where it comes from and all that its files do not say.

    Paths are relative to the model's directory. `parameters` are for the task, which checks them.
    `files` are the task's files by role ("labels", "characters", "words"); a path that begins
    with `zoo:` is shipped with the catalogue.
    """

    name: Name
    task: TaskName
    collection: str
    description: str
    status: Status
    aliases: tuple[Name, ...] = ()
    licence: str | None = None
    """SPDX identifier; None where nobody has said so."""
    sources: tuple[Source, ...] = ()
    """Alternatives for the same files, best first."""
    extras: tuple[Extra, ...] = ()
    recipe: Recipe | None = None
    """For sources and extras that hold no network; a network among them is taken as it is."""
    layout: Layout = Layout()
    inputs: tuple[TensorHint, ...] = ()
    outputs: tuple[TensorHint, ...] = ()
    parameters: dict[str, Any] = {}
    files: dict[str, str] = {}
    components: dict[str, str] = {}
    """Role -> name of the entry that fills it: all that a pipeline is, and what the task of a
    model with a network of its own needs besides."""
    requires: tuple[str, ...] = ()
    """Entries that a client of this one needs as well."""
    max_batch_size: Annotated[int, msgspec.Meta(ge=1)] | None = None
    notes: tuple[str, ...] = ()
    """What a user should know of it, one sentence each."""

    def __post_init__(self) -> None:
        for reference in self.files.values():
            _relative(reference.removeprefix(SHIPPED))
        _consistent(self)
        for side in ("inputs", "outputs"):
            hints = getattr(self, side)
            force_setattr(self, side, tuple(one for hint in hints for one in hint.expanded()))

    @property
    def slug(self) -> str:
        """The name for places that take only letters, digits, ".", "_" and "-" (image tags)."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", self.name)

    @property
    def size(self) -> int | None:
        """Bytes to download from the preferred source, exact or as documented; None if unknown."""
        for source in self.sources:
            if isinstance(source, PackageSource):
                return source.size
            if isinstance(source, HttpsSource):
                return source.size or source.approximate_size
        return None

    @property
    def is_pipeline(self) -> bool:
        """Whether it has no network of its own, and so nothing to be fetched."""
        return self.status == "pipeline"

    @property
    def is_onnx(self) -> bool:
        """Whether its network is an ONNX file, which the engine paddle does not run."""
        packages = (source for source in self.sources if isinstance(source, WheelSource))
        return any(path.endswith(".onnx") for each in packages for path in each.members.values())


def _relative(path: str) -> None:
    if not path or "\\" in path or path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise ValueError(f"path {path!r} must be relative and stay inside its directory")


def _consistent(entry: Entry) -> None:
    """That the entry has what its status promises, and nothing that contradicts it."""
    if entry.status == "ready":
        if not entry.sources:
            raise ValueError("status `ready` needs at least one source")
    elif entry.sources or entry.extras:
        raise ValueError(f"status `{entry.status}` cannot have sources")
    elif entry.recipe is not None and entry.status != "needs-export":
        raise ValueError("`recipe` belongs to entries with files of their own")
    elif entry.status == "pipeline":
        if not entry.components:
            raise ValueError("status `pipeline` needs `components`")
    elif entry.components:
        raise ValueError("`components` do not go with status `needs-export`")
    elif not entry.notes:
        raise ValueError("status `needs-export` needs `notes` that say how to export it")
