"""`client-config`: a program that asks a model, to be pasted."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.shell import Shell

PANEL = "Serving"


class LanguageWord(str, Enum):
    """A language that there are clients for."""

    curl = "curl"
    python = "python"
    java = "java"
    cpp = "cpp"


class ProtocolWord(str, Enum):
    """A protocol of clients."""

    http = "http"
    grpc = "grpc"
    brpc = "brpc"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "client-config",
        panel=PANEL,
        examples=[
            "paddlesrv client-config ocr",
            "paddlesrv client-config ocr --lang python > ask.py",
            "paddlesrv client-config ocr --lang java --url http://10.0.0.5:9393",
            "paddlesrv client-config PP-OCRv4_rec --lang python --protocol grpc",
            "paddlesrv client-config ocr --lang cpp --json",
        ],
    )(client_config)


def client_config(
    shell: Shell,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Name, alias, or a model's directory.")
    ],
    lang: Annotated[
        LanguageWord,
        typer.Option("--lang", metavar="curl|python|java|cpp", help="The language."),
    ] = LanguageWord.curl,
    protocol: Annotated[
        ProtocolWord,
        typer.Option(
            metavar="http|grpc|brpc",
            help="What is spoken: Python all, C++ http and brpc, Java and curl http.",
        ),
    ] = ProtocolWord.http,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Where it is asked; default: the running server of the model, or port 9393 here.",
        ),
    ] = None,
    tensors: Annotated[
        bool,
        typer.Option("--tensors", help="Send the network's own tensors, as grpc and brpc do."),
    ] = False,
) -> None:
    """Print a program that asks a model, ready to be pasted.

    It sends what the model takes: a picture, a text, features, or tensors of the right names,
    types and shapes. What it needs, and how to run it, stands in its first lines.
    """
    from paddlesrv.client.snippets import address, snippet, subject
    from paddlesrv.server.records import running

    snippet.check(lang.value, protocol.value)
    records = running(shell.settings.state_dir, shell.output.warning)
    found = subject.find(model, shell.catalogue, shell.store, records)
    where = address.checked(url) if url is not None else address.serving(found.name, records)
    made = snippet.make(
        found, model, lang.value, where or address.DEFAULT, protocol.value, tensors=tensors
    )

    def human() -> None:
        shell.output.line(made.text.rstrip("\n"))

    shell.output.answer(
        {
            "model": found.name,
            "language": made.language,
            "protocol": made.protocol,
            "url": made.url,
            "files": made.files,
            "run": made.run,
        },
        names=[made.text.rstrip("\n")],
        human=human,
    )
