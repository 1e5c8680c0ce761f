"""`inference.yml` and `infer_cfg.yml`: what PaddleOCR, PaddleX and PaddleDetection say of exports.

Only what our tasks do in the same way is taken, and each thing taken is told; what is not
understood makes the whole recipe one that is not taken, never a guess. Keys are those that
PaddleOCR's exporter writes: PreProcess.transform_ops, PostProcess{name, ..., character_dict};
PaddleClas' PostProcess.Topk.label_list; PaddleDetection's label_list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

FILE_NAMES = ("inference.yml", "inference.yaml", "infer_cfg.yml")
SIZE_MAX_BYTES = 8 << 20

# Of training, or done by every task: they change nothing here.
_NOTHING_TO_DO = (
    "DetLabelEncode", "MultiLabelEncode", "CTCLabelEncode", "RecLabelEncode", "KeepKeys",
    "ToCHWImage",
)  # fmt: skip
_PER_255 = ("1./255.", "1./255", "1.0/255.0", "1.0/255", "1/255", "1/255.")


class ExportConfig(msgspec.Struct, kw_only=True):
    """What such a file says, as far as it is understood.

    `task` is None where it describes none of our tasks, or asks for what the task does not do;
    `doubts` say which. `told` says what was taken, in words.
    """

    file: str
    task: str | None = None
    parameters: dict[str, Any] = {}
    characters: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    told: list[str] = []
    doubts: list[str] = []


class _NotUnderstood(Exception):
    """A step that our tasks do not do, or a value that is not of its type."""


def find_config(directory: Path) -> ExportConfig | None:
    """What the config beside a program says; None if there is none."""
    for name in FILE_NAMES:
        if (directory / name).is_file():
            return read_config(directory / name)
    return None


def read_config(path: Path) -> ExportConfig:
    """What one such file says; one that cannot be read says nothing but a doubt."""
    config = ExportConfig(file=path.name)
    try:
        data = _load(path)
        _read_labels(data, config)
        _read_task(data, config)
    except _NotUnderstood as problem:
        config.doubts.append(f"{path.name}: {problem}; nothing of it is taken")
        return ExportConfig(file=path.name, labels=config.labels, doubts=config.doubts)
    return config


def _load(path: Path) -> dict[str, Any]:
    if path.stat().st_size > SIZE_MAX_BYTES:
        raise _NotUnderstood(f"it is larger than {SIZE_MAX_BYTES} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(path.read_bytes(), loader)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _NotUnderstood(f"it is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(data, dict):
        raise _NotUnderstood("it is not a mapping")
    return data


def _read_labels(data: Mapping[str, Any], config: ExportConfig) -> None:
    """Names of classes, of PaddleDetection (at the top) or PaddleClas (below Topk)."""
    found = data.get("label_list")
    if found is None:
        topk = _mapping(data, "PostProcess").get("Topk")
        found = topk.get("label_list") if isinstance(topk, dict) else None
    if found is not None:
        config.labels = _texts(found, "label_list")


def _read_task(data: Mapping[str, Any], config: ExportConfig) -> None:
    after = _mapping(data, "PostProcess")
    name = after.get("name")
    known: dict[str, tuple[str, Callable[[Mapping[str, Any], ExportConfig], None]]] = {
        "DBPostProcess": ("text-detection", _read_db),
        "CTCLabelDecode": ("text-recognition", _read_ctc),
    }
    if name not in known:
        return
    task, read = known[name]
    read(after, config)
    steps = {"text-detection": _detection_step, "text-recognition": _recognition_step}[task]
    for step, values in _steps(data):
        if step not in _NOTHING_TO_DO:
            steps(step, values, config)
    config.task = task
    config.told.insert(0, f"task {task} from {config.file} (PostProcess {name})")


def _read_db(after: Mapping[str, Any], config: ExportConfig) -> None:
    if after.get("box_type", "quad") != "quad":
        raise _NotUnderstood("a box_type other than quad, and boxes here have four corners")
    if after.get("use_dilation"):
        raise _NotUnderstood("use_dilation, which text-detection does not do")
    for theirs, ours in (
        ("thresh", "score_threshold"),
        ("box_thresh", "box_threshold"),
        ("unclip_ratio", "unclip_ratio"),
        ("max_candidates", "max_candidates"),
    ):
        if theirs in after:
            _take(config, ours, _number(after[theirs], theirs))


def _read_ctc(after: Mapping[str, Any], config: ExportConfig) -> None:
    if "character_dict" in after:
        config.characters = _texts(after["character_dict"], "character_dict")
        config.told.append(f"{len(config.characters)} characters from {config.file}")


def _detection_step(step: str, values: Mapping[str, Any], config: ExportConfig) -> None:
    if step == "DecodeImage":
        _take(config, "channels", _channels(values))
    elif step == "NormalizeImage":
        _check_scale(values)
        for name in ("mean", "std"):
            _take(config, name, _three(values.get(name), name))
    elif step == "DetResizeForTest":
        _read_size(values, config)
    else:
        raise _NotUnderstood(f"step {step}, which text-detection does not do")


def _read_size(values: Mapping[str, Any], config: ExportConfig) -> None:
    if not values:
        return
    if values.keys() <= {"limit_side_len", "limit_type"}:
        if "limit_side_len" in values:
            _take(config, "limit_side_len", _number(values["limit_side_len"], "limit_side_len"))
        if "limit_type" in values:
            _take(config, "limit_type", _word(values["limit_type"], ("min", "max"), "limit_type"))
    elif values.keys() == {"resize_long"}:
        _take(config, "limit_side_len", _number(values["resize_long"], "resize_long"))
        _take(config, "limit_type", "max")
        config.told.append("smaller pictures are not scaled up to resize_long")
    else:
        raise _NotUnderstood(f"DetResizeForTest with {', '.join(map(str, values))}")


def _recognition_step(step: str, values: Mapping[str, Any], config: ExportConfig) -> None:
    if step == "DecodeImage":
        if _channels(values) != "bgr":
            raise _NotUnderstood("pictures as RGB, which text-recognition does not feed")
    elif step == "RecResizeImg":
        shape = values.get("image_shape")
        if not isinstance(shape, list) or len(shape) != 3 or shape[0] != 3:
            raise _NotUnderstood("RecResizeImg.image_shape is not [3, height, width]")
        _take(config, "height", _number(shape[1], "image_shape"))
        _take(config, "min_width", _number(shape[2], "image_shape"))
    else:
        raise _NotUnderstood(f"step {step}, which text-recognition does not do")


def _steps(data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    steps = _mapping(data, "PreProcess").get("transform_ops") or []
    if not isinstance(steps, list):
        raise _NotUnderstood("transform_ops is not a list")
    found: list[tuple[str, Mapping[str, Any]]] = []
    for step in steps:
        if not isinstance(step, dict) or len(step) != 1:
            raise _NotUnderstood("a step of transform_ops is not one name with its values")
        ((name, values),) = step.items()
        if not isinstance(values, dict | None):
            raise _NotUnderstood(f"the values of step {name} are not a mapping")
        found.append((str(name), values or {}))
    return found


def _take(config: ExportConfig, name: str, value: object) -> None:
    config.parameters[name] = value
    config.told.append(f"{name} {value} from {config.file}")


def _channels(values: Mapping[str, Any]) -> str:
    return _word(values.get("img_mode", "BGR"), ("BGR", "RGB"), "DecodeImage.img_mode").lower()


def _check_scale(values: Mapping[str, Any]) -> None:
    scale = values.get("scale", "1./255.")
    close = isinstance(scale, float) and abs(scale * 255 - 1) < 1e-3
    if not close and not (isinstance(scale, str) and scale.replace(" ", "") in _PER_255):
        raise _NotUnderstood(f"NormalizeImage.scale is {_shown(scale)}, not 1/255")


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _NotUnderstood(f"{name} is {_shown(value)}, not a number")
    return value


def _word(value: object, known: tuple[str, ...], name: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise _NotUnderstood(f"{name} is {_shown(value)}, not {' or '.join(known)}")
    return value


def _three(value: object, name: str) -> list[float]:
    if not isinstance(value, list) or len(value) != 3:
        raise _NotUnderstood(f"NormalizeImage.{name} is not three numbers")
    return [_number(one, name) for one in value]


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _NotUnderstood(f"{name} is not a list")
    for number, text in enumerate(value, start=1):
        # YAML reads an unquoted `no` or `1` as something else than a text.
        if not isinstance(text, str) or "\n" in text:
            raise _NotUnderstood(f"number {number} of {name} is {_shown(text)}, not a line of text")
    return tuple(value)


def _shown(value: object) -> str:
    """A value for people; lists may refer to themselves many times over, and are not written."""
    if isinstance(value, str | int | float | bool | None):
        return repr(value)[:80]
    return f"a {type(value).__name__}"
