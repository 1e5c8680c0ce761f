"""What is fixed inside an image: user, paths, port, environment, and the commands that run there.

The image itself, `serve --docker`, Compose and Kubernetes all take it from here, so that the
command that a pod runs is the one that was tried in Docker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

PORT: Final = 9393
"""The port of all protocols inside a container."""
UID: Final = 10001
"""User and group of every process in a container: not root, and nobody's on the host."""
HOME: Final = "/var/lib/paddlesrv"
"""`PADDLESRV_HOME` in a container."""
STORE: Final = f"{HOME}/cache"
"""Where models lie: in the image, on a mounted store, or on a volume that was filled before."""
STATE: Final = f"{HOME}/state"
"""Records and logs: in memory, as the root file system is read-only."""
WRITABLE: Final = (STATE, "/tmp")  # noqa: S108  # the container's own, in memory
"""What must be writable in a container whose root file system is read-only."""
CONFIG_DIR: Final = "/etc/paddlesrv"
CONFIG_FILE: Final = f"{CONFIG_DIR}/paddlesrv.yaml"
"""The server's configuration: in the image, and what a mount or ConfigMap takes the place of."""
SECRETS: Final = "/run/secrets/paddlesrv"
"""Where key files and certificates are mounted."""
ENTRYPOINT: Final = ("paddlesrv",)
SERVE: Final = ("serve", "--config", CONFIG_FILE)
"""What a container runs after the entry point."""


def environment(*, models_inside: bool) -> Mapping[str, str]:
    """Variables of a container.

    Args:
        models_inside: The models are in the image: then no connection to the outside is opened.
    """
    found = {"PADDLESRV_HOME": HOME, "PADDLESRV_CHOICE_SECONDS": "0"}
    if models_inside:
        found["PADDLESRV_OFFLINE"] = "1"
    return MappingProxyType(found)


def get_command(models: Sequence[str]) -> tuple[str, ...]:
    """What an init container runs (after the entry point) to fill a volume with models.

    It needs `PADDLESRV_OFFLINE=0` where the image has models of its own.
    """
    return ("get", "--", *models)
