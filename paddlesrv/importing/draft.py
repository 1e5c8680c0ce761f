"""`Draft`: one own model while it is made: its spec so far, its files, and what is said of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from paddlesrv.engines.base import EngineName, EngineOptions
from paddlesrv.errors import IntegrityError, UsageError
from paddlesrv.importing.export_config import ExportConfig, find_config
from paddlesrv.importing.fitting import TENSORS, check_task, class_count, with_roles
from paddlesrv.importing.origin import Origin, unreadable
from paddlesrv.importing.trial import TIMEOUT_SECONDS, Trial, run_trial, with_true_types
from paddlesrv.models import serving_conf
from paddlesrv.models.spec import ModelSpec
from paddlesrv.tasks import make_task
from paddlesrv.zoo.digests import CHUNK_BYTES, sha256_of
from paddlesrv.zoo.specification import DEFAULT_MAX_BATCH_SIZE, with_revision

LINK = "original"
"""In a linked model's directory: the link to where its files are."""
ADDED = "added"
"""In a model's directory: what came with the import and is no part of the network."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks for; see `paddlesrv import --help`."""

    path: Path
    name: str | None = None
    task: str | None = None
    labels: Path | None = None
    parameters: dict[str, Any] = {}
    """Of the task; they go before what the export says."""
    link: bool = False
    force: bool = False
    run: bool = True
    dry_run: bool = False
    timeout_seconds: float = TIMEOUT_SECONDS


class Draft:
    """A model being made: its spec so far, and what is to be said of it."""

    def __init__(self, name: str, origin: Origin, wish: Wish, labels: tuple[str, ...]) -> None:
        self._origin = origin
        self._wish = wish
        # A dry run needs no copy to try the network.
        self._linked = wish.link or (wish.dry_run and not origin.unpacked)
        self._base = f"{LINK}/" if self._linked else ""
        self.size_bytes = 0
        self.told: list[str] = []
        self.warnings: list[str] = []
        self.warnings += [f"{serving_conf.FILE_NAME}: {doubt}" for doubt in origin.doubts]
        other = {alias: name for alias, name in origin.aliases.items() if alias != name}
        if other:
            told = ", ".join(f"{alias} ({name})" for alias, name in other.items())
            self.told.append(f"clients of Paddle Serving call its tensors {told}")
        signature = origin.signature
        config = find_config(origin.directory)
        task = self._task(config)
        check_task(task)
        inputs, outputs = with_roles(signature, task)
        whole = any(tensor.batching == "whole" for tensor in (*inputs, *outputs))
        self.spec = ModelSpec(
            name=name,
            task=task,
            format=signature.format,
            program=self._base + signature.program,
            params=self._base + signature.params if signature.params else None,
            inputs=inputs,
            outputs=outputs,
            max_batch_size=1 if whole else DEFAULT_MAX_BATCH_SIZE,
            aliases=origin.aliases,
        )
        self._added: dict[str, tuple[str, ...]] = {}
        self._add_texts(config, labels)

    def stage(self, stage: Path) -> None:
        """Put the files in place, or link to them, and note their digests."""
        signature = self._origin.signature
        digests: dict[str, str] = {}
        if self._linked:
            (stage / LINK).symlink_to(self._origin.directory.resolve(), target_is_directory=True)
        for name in signature.files:
            source, target = self._origin.directory / name, stage / self._base / name
            if not os.access(source, os.R_OK):
                raise unreadable(source)
            if self._linked:
                digests[self._base + name] = sha256_of(source)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                digests[name] = _placed(source, target, move=self._origin.unpacked)
            self.size_bytes += target.stat().st_size
        for role, lines in self._added.items():
            place = f"{ADDED}/{role}.txt"
            (stage / ADDED).mkdir(exist_ok=True)
            (stage / place).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            digests[place] = sha256_of(stage / place)
        files = {role: f"{ADDED}/{role}.txt" for role in self._added}
        self.spec = msgspec.structs.replace(self.spec, digests=digests, files=files)

    def check_task(self, stage: Path) -> None:
        """See that the task can be made of the parameters and files that there are."""
        if self.spec.task == TENSORS:
            return
        try:
            task = make_task(self.spec, stage)
        except (IntegrityError, UsageError) as error:
            needs = "characters" if self.spec.task == "text-recognition" else "labels"
            lacks = isinstance(error, IntegrityError) and not self._added
            hints = [f"give the {needs}, one a line: --labels FILE"] if lacks else []
            raise UsageError(
                f"{self.spec.task} cannot be done with this model: {error.message}",
                context=error.context,
                hints=[*hints, "or serve its tensors: --task tensors"],
            ) from error
        if task is None:
            raise UsageError(
                f"{self.spec.task} does not understand a network of this kind",
                hints=["serve its tensors: --task tensors"],
            )

    def run(self, stage: Path, options: EngineOptions) -> Trial:
        """Try the network, on the engine that its format needs."""
        engine: EngineName = "onnxruntime" if self.spec.format == "onnx" else "paddle"
        options = msgspec.structs.replace(options, engine=engine)
        trial = run_trial(self.spec, stage, options, self._wish.timeout_seconds)
        self.spec, told = with_true_types(self.spec, trial)
        self.told += told
        infinite = [answer.name for answer in trial.outputs if answer.infinite]
        if infinite:
            self.warnings.append(f"{', '.join(infinite)} answers infinity to a plain input")
        return trial

    def finished(self) -> ModelSpec:
        """The spec as it is installed, or would be."""
        spec = self.spec
        if self._linked and not self._wish.link:
            spec = msgspec.structs.replace(
                spec,
                program=self._origin.signature.program,
                params=self._origin.signature.params,
                digests={path.removeprefix(self._base): d for path, d in spec.digests.items()},
            )
        return with_revision(spec)

    def _task(self, config: ExportConfig | None) -> str:
        """The task asked for, or else the one that the export itself names."""
        if config is None:
            return self._wish.task or TENSORS
        self.warnings += config.doubts
        if config.task is None or self._wish.task not in (None, config.task):
            return self._wish.task or TENSORS
        self.told += config.told
        return config.task

    def _add_texts(self, config: ExportConfig | None, labels: tuple[str, ...]) -> None:
        """Characters or labels, from the user or else from the export, and what they decide."""
        parameters: dict[str, Any] = {}
        taken = config if config is not None and config.task == self.spec.task else None
        if taken is not None:
            parameters |= taken.parameters
        if self.spec.task == "text-recognition":
            characters = labels or (taken.characters if taken is not None else ())
            if characters:
                self._added["characters"] = characters
                parameters["space"] = self._has_space(len(characters))
        elif labels:
            self._check_labels(labels)
            self._added["labels"] = labels
        elif config is not None and config.labels:
            self._take_labels(config)
        parameters |= self._wish.parameters
        self.spec = msgspec.structs.replace(self.spec, parameters=parameters)

    def _has_space(self, characters: int) -> bool:
        """Whether there is a class for the space: what the network has beyond blank and file."""
        classes = class_count(self.spec)
        if classes is None:
            self.told.append("a class for the space is assumed (the file leaves their number open)")
            return True
        return classes != characters + 1

    def _check_labels(self, labels: tuple[str, ...]) -> None:
        classes = class_count(self.spec)
        if classes is None:
            self.told.append(f"{len(labels)} labels; the network does not say how many it has")
        elif classes != len(labels):
            raise UsageError(
                f"{self._wish.labels} has {len(labels)} labels, the network {classes} classes",
                context={"expected": "one label a line, in the order of the classes"},
            )
        else:
            self.told.append(f"{len(labels)} labels, as many as the network has classes")

    def _take_labels(self, config: ExportConfig) -> None:
        classes, found = class_count(self.spec), len(config.labels)
        if classes not in (None, found):
            self.warnings.append(
                f"{config.file} lists {found} labels, the network has {classes} classes; not taken"
            )
            return
        self._added["labels"] = config.labels
        self.told.append(f"{found} labels from {config.file}")


def _placed(source: Path, target: Path, *, move: bool) -> str:
    """Bring a file to its place, safely on the disk; its sha256."""
    if move:
        source.replace(target)
        return sha256_of(target)
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()
