"""Directories as Paddle Serving's converter and server leave them: server half and client half."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from tests.protocols.old_client import messages
from tests.standins import linear, serving_conf
from tests.standins.serving_conf import Variable

ALIASES = ("x", "price")
"""What clients call the input and the output."""


def write_housing(
    directory: Path, program: str = "model.pdmodel", params: str = "params.pdiparams"
) -> None:
    """The linear model, converted below a directory, and served once."""
    server = directory / "serving_server"
    linear.write_program(server)
    spec = linear.spec(server)
    (server / "inference.pdmodel").rename(server / program)
    (server / "inference.pdiparams").rename(server / params)
    feeds = [Variable(spec.inputs[0].name, ALIASES[0], (13,))]
    fetches = [Variable(spec.outputs[0].name, ALIASES[1], (1,))]
    serving_conf.write(server, feeds, fetches)
    serving_conf.write_client(directory / "serving_client", feeds, fetches)
    write_stream(server / "serving_server_conf.prototxt")
    write_stream(directory / "serving_client" / "serving_client_conf.prototxt")
    # What the ancestor's server put there when it started, and looked at for a newer model.
    (server / "fluid_time_file").touch()


def write_stream(text: Path) -> None:
    """Beside a config in text, the same as bytes, written by the published messages."""
    config = text_format.Parse(
        text.read_text(), messages("general_model_config")["GeneralModelConfig"]()
    )
    stream = text.with_name(text.name.replace(".prototxt", ".stream.prototxt"))
    stream.write_bytes(config.SerializeToString())
