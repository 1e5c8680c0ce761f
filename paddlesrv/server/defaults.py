"""How a server is started where nobody says otherwise, and where each of these values comes from.

Precedence: flag > PADDLESRV_SERVE_* > config file (`--config`, else ./paddlesrv.yaml) > `serve:`
in the user's file > default. Flags are the command line's business and go over what is made here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from paddlesrv.errors import UsageError
from paddlesrv.server.config import (
    ACCEPTED,
    PURPOSE,
    ModelConfig,
    ServerConfig,
    convert_config,
    read_config,
)
from paddlesrv.server.config import RULES as CONFIG_RULES
from paddlesrv.yaml_file import Rules, YamlFile, explain

PROJECT_FILE = Path("paddlesrv.yaml")
"""The server's configuration in the directory that one stands in."""

# Not PADDLESRV_PORT: Kubernetes sets PADDLESRV_PORT=tcp://... in every pod beside a service that
# is called paddlesrv.
_PREFIX = "PADDLESRV_SERVE_"
_FLAGS = {
    "host": "--host",
    "port": "--port",
    "grpc_port": "--grpc-port",
    "brpc_port": "--brpc-port",
    "tls_cert": "--tls-cert",
    "tls_key": "--tls-key",
    "tls_client_ca": "--tls-client-ca",
    "api_key_file": "--api-key-file",
    "key_file": "--key-file",
    "rate_limit": "--rate-limit",
    "allow_host": "--allow-host",
    "cors_origin": "--cors-origin",
    "admin": "--admin",
    "max_body_mb": "--max-body",
    "grace_s": "--grace",
    "engine": "--engine",
    "device": "--gpu, --cpu",
    "precision": "--precision",
    "tensorrt": "--tensorrt",
    "instances": "--instances",
    "threads": "--threads",
    "pin": "--pin",
    "max_batch_size": "--max-batch-size",
    "max_delay_ms": "--max-delay",
    "max_queue": "--max-queue",
    "timeout_s": "--timeout",
}


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One value that a server is started with; `scope` tells whether each model has its own."""

    field: str
    scope: Literal["server", "model"]
    env: str
    flag: str | None
    help: str
    accepted: str
    default: Any


def _options() -> tuple[Option, ...]:
    found = []
    kinds: tuple[tuple[Literal["server", "model"], type[msgspec.Struct]], ...] = (
        ("server", ServerConfig),
        ("model", ModelConfig),
    )
    for scope, kind in kinds:
        for field in msgspec.structs.fields(kind):
            # What is served has no default, and shapes are those of one model's inputs.
            if field.name in ("models", "name", "path", "tensorrt_shapes"):
                continue
            found.append(
                Option(
                    field=field.name,
                    scope=scope,
                    env=_PREFIX + field.name.upper(),
                    flag=_FLAGS.get(field.name),
                    help=PURPOSE[field.name],
                    accepted=ACCEPTED[field.name],
                    default=field.default,
                )
            )
    return tuple(found)


OPTIONS = _options()
"""Every field of `ServerConfig` and `ModelConfig` but what is served, in their order."""

_SCOPES = {option.field: option.scope for option in OPTIONS}
_FIELDS = [
    (field.name, field.type | msgspec.UnsetType, msgspec.UNSET)
    for kind in (ServerConfig, ModelConfig)
    for field in msgspec.structs.fields(kind)
    if field.name in _SCOPES
]
Partial = msgspec.defstruct(
    "Partial", _FIELDS, frozen=True, kw_only=True, forbid_unknown_fields=True
)
"""Any of the options, each of which may be absent."""

USER_RULES = Rules(
    accepted=ACCEPTED,
    fields=lambda place: tuple(_SCOPES),
    holds="defaults for servers",
    wanted="a mapping of options",
    moved={"models": "models stand in ./paddlesrv.yaml: paddlesrv config gen MODEL"},
)


class Defaults(msgspec.Struct, frozen=True):
    """Values by field, and where each comes from: a variable, FILE:LINE, or `default`.

    `models` are those of the config file, as they stand there; `file` is that file.
    """

    values: dict[str, Any]
    origins: dict[str, str]
    models: tuple[dict[str, Any], ...] = ()
    file: YamlFile | None = None
    _model_values: dict[str, Any] = {}
    _forced: dict[str, Any] = {}

    def configuration(self, names: Iterable[str] = ()) -> ServerConfig:
        """What is served: the models named, or else those of the config file.

        A model that is named and stands in the file under the very same name runs as it says
        there.

        Raises:
            UsageError: no model is named and the file has none, or a value does not fit.
        """
        chosen = self._chosen(names)
        models = [{**self._model_values, **model, **self._forced} for model in chosen]
        if not models and self.file is not None:
            return convert_config(self.file.data, str(self.file.path), self.file.lines)
        own = {name: value for name, value in self.values.items() if _SCOPES[name] == "server"}
        return convert_config({"models": models, **own}, "the defaults")

    def said(self, names: Iterable[str] = ()) -> list[frozenset[str]]:
        """For each of the models of `configuration`, the fields that a file or a variable sets."""
        everywhere = {
            field
            for field, origin in self.origins.items()
            if origin != "default" and _SCOPES[field] == "model"
        }
        return [
            frozenset(everywhere | (model.keys() & _SCOPES.keys())) for model in self._chosen(names)
        ]

    def _chosen(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The models named, as the config file has them if it does; or else all that it has."""
        listed = {model.get("name"): model for model in self.models}
        return [listed.get(name, {"name": name}) for name in names] or list(self.models)

    def decided_by_file(self, names: Iterable[str]) -> list[str]:
        """What the config file says of a server of these models, as words for a person."""
        if self.file is None:
            return []
        own = [
            f"{field} {self.values[field]}"
            for field, origin in self.origins.items()
            if origin == self.file.at(field)
        ]
        listed = {model.get("name") for model in self.models}
        return own + [f"how {name} runs" for name in names if name in listed]


def defaults(
    user: YamlFile | None = None,
    project: YamlFile | None = None,
    environ: Mapping[str, str] | None = None,
) -> Defaults:
    """The values in force below the flags.

    Args:
        user: The user's config file.
        project: The config file of what is served.
        environ: The environment; an empty variable counts as unset.

    Raises:
        UsageError: a value in a file or a variable does not fit.
    """
    environ = os.environ if environ is None else environ
    values = {option.field: option.default for option in OPTIONS}
    origins = {option.field: "default" for option in OPTIONS}

    def take(found: Mapping[str, Any], origin: Mapping[str, str]) -> None:
        values.update(found)
        origins.update({name: origin[name] for name in found})

    if user is not None:
        take(_user_values(user), _Places(user, "serve."))
    below = {name: value for name, value in values.items() if _SCOPES[name] == "model"}
    models: tuple[dict[str, Any], ...] = ()
    if project is not None:
        own, models = _project_values(project)
        take(own, _Places(project))
    forced = _environment_values(environ)
    take(forced, {option.field: option.env for option in OPTIONS})
    each = {name: value for name, value in forced.items() if _SCOPES[name] == "model"}
    return Defaults(values, origins, models, project, below, each)


def find_project(config: Path | None, *, asked: bool) -> YamlFile | None:
    """The config file that holds here; None if there is none.

    Args:
        config: The one that was named; else `PROJECT_FILE`.
        asked: Whether the file itself is what is to be served. A file that merely lies in the
            current directory is read only if nobody else can have written it.

    Raises:
        UsageError: the file cannot be read, or must not be trusted unnamed.
    """
    if config is not None:
        return read_config(config)
    doubt = untrusted(PROJECT_FILE)
    if doubt is None:
        return read_config(PROJECT_FILE) if PROJECT_FILE.is_file() else None
    if not asked:
        return None
    raise UsageError(
        f"./{PROJECT_FILE} {doubt}",
        hints=[f"if you trust it, name it: paddlesrv serve --config {PROJECT_FILE}"],
    )


def untrusted(path: Path) -> str | None:
    """Why a file that nobody named must not decide anything; None if it may, or is not there."""
    try:
        link, status = path.lstat(), path.stat()
    except OSError:
        return None
    if {link.st_uid, status.st_uid} - {0, os.geteuid()}:
        return "belongs to another user"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    return None


class _Places(dict[str, str]):
    """Field -> FILE:LINE."""

    def __init__(self, file: YamlFile, lead: str = "") -> None:
        super().__init__()
        self._file = file
        self._lead = lead

    def __missing__(self, field: str) -> str:
        return self._file.at(self._lead + field)


def _user_values(file: YamlFile) -> dict[str, Any]:
    data = file.data.get("serve") or {}
    try:
        found = msgspec.convert(data, Partial)
    except msgspec.ValidationError as error:
        raise explain(error, data, str(file.path), USER_RULES, file.lines, "serve") from error
    return _present(found)


def _project_values(file: YamlFile) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """The server's own fields, and the models as they stand in the file."""
    data = file.data if isinstance(file.data, dict) else None
    # Models may be absent, for whoever names some; everything else is checked as always.
    whole = data if data is None or "models" in data else {**data, "models": [{"name": "any"}]}
    try:
        msgspec.convert(whole, ServerConfig)
    except msgspec.ValidationError as error:
        raise explain(error, whole, str(file.path), CONFIG_RULES, file.lines) from error
    assert data is not None
    own = {name: value for name, value in data.items() if name != "models"}
    return own, tuple(data.get("models", ()))


def _environment_values(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in OPTIONS:
        text = environ.get(option.env, "")
        if not text:
            continue
        try:
            found |= _present(msgspec.convert({option.field: text}, Partial, strict=False))
        except msgspec.ValidationError as error:
            raise UsageError(
                f"{option.env} is not accepted",
                context={"found": repr(text), "wanted": option.accepted},
                hints=[f"correct or unset {option.env}"],
            ) from error
    return found


def _present(partial: msgspec.Struct) -> dict[str, Any]:
    values = msgspec.structs.asdict(partial)
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}
