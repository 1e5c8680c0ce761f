"""Questions as programs: which question, in which language, over which protocol."""

from __future__ import annotations

from typing import Any

import msgspec

from paddlesrv.client.snippets import examples
from paddlesrv.client.snippets.cpp import Cpp
from paddlesrv.client.snippets.curl import Curl
from paddlesrv.client.snippets.java import Java
from paddlesrv.client.snippets.python import Python
from paddlesrv.client.snippets.question import Kind, Language, Question, Spoken
from paddlesrv.client.snippets.subject import Subject
from paddlesrv.client.snippets.template import fill
from paddlesrv.errors import NotFound, UsageError
from paddlesrv.zoo.catalogue import data_directory

LANGUAGES: dict[str, Language] = {
    language.name: language for language in (Curl(), Python(), Java(), Cpp())
}

_NOT_OVER_BRPC = ("uint16", "uint32", "uint64")


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """A program: its text by the name of its file, and the commands that run it there."""

    language: str
    protocol: str
    url: str
    files: dict[str, str]
    run: list[str]

    @property
    def text(self) -> str:
        """The program itself."""
        (text,) = self.files.values()
        return text


def check(language: str, protocol: str) -> None:
    """Refuse a protocol that a language's client does not speak.

    Raises:
        UsageError: it does not; the error says what is possible.
    """
    known = LANGUAGES[language].protocols
    if protocol not in known:
        others = [each.name for each in LANGUAGES.values() if protocol in each.protocols]
        raise UsageError(
            f"the client in {language} does not speak {protocol}",
            context={"possible": "; ".join(map(_spoken, LANGUAGES.values()))},
            hints=[f"--protocol {known[0]}", f"or --lang {' or '.join(others)}"],
        )


def make(
    subject: Subject,
    asked: str,
    language: str,
    url: str,
    protocol: Spoken = "http",
    *,
    tensors: bool = False,
) -> Snippet:
    """A program that asks a model at an address.

    Over another protocol than HTTP, and where `tensors` says so, it sends the network's own
    tensors; else what the model's task takes.

    Args:
        subject: The model.
        asked: What the user calls it.
        language: One of `LANGUAGES`.
        url: As `address.checked` has left it.
        protocol: One that the language's client speaks.
        tensors: Ask without the task.

    Raises:
        UsageError: that cannot be asked so; the error says what can.
        NotFound: the model's tensors are not known before it is here.
    """
    check(language, protocol)
    kind: Kind = "tensors"
    if protocol == "http" and not tensors and subject.kind is not None:
        kind = "picture" if subject.kind == "image" else subject.kind
    question = Question(
        subject.name,
        asked,
        url,
        protocol,
        kind,
        task=subject.task if kind != "tensors" else None,
        text=examples.text(subject.task or ""),
        features=examples.features(subject.parameters) if kind == "features" else None,
        inputs=_inputs(subject, protocol, url) if kind == "tensors" else (),
        outputs=subject.outputs,
    )
    return written(question, LANGUAGES[language])


def written(question: Question, language: Language) -> Snippet:
    """A question in a language."""
    folder = data_directory("templates") / "snippets"
    suffix = language.file.rpartition(".")[2]
    name = "brpc" if language.name == "cpp" and question.protocol == "brpc" else question.kind
    template = (folder / f"{name}.{suffix}.in").read_text(encoding="utf-8")
    results = msgspec.yaml.decode((folder / "results.yaml").read_bytes())
    shown: dict[str, Any] = results.get(question.task, results["any"])
    places = {
        "said": question.said,
        "show": shown.get(language.name, "").rstrip("\n"),
        **language.places(question),
    }
    return Snippet(
        language=language.name,
        protocol=question.protocol,
        url=question.url,
        files={language.file: fill(template, places)},
        run=language.run(question),
    )


def _inputs(subject: Subject, protocol: Spoken, url: str) -> tuple[examples.ExampleTensor, ...]:
    if subject.inputs is None:
        raise NotFound(
            f"what {subject.name} calls its tensors is known once it is here",
            hints=[f"get it: paddlesrv get {subject.name}"],
        )
    if not subject.inputs:
        raise UsageError(
            f"{subject.name} is made of other models, and has no tensors of its own",
            context={"possible": "--protocol http, without --tensors"},
        )
    if protocol == "brpc":
        if url.startswith("https:"):
            raise UsageError(
                "clients speak bRPC without TLS", context={"found": url, "possible": "http, grpc"}
            )
        for tensor in subject.inputs:
            if tensor.dtype in _NOT_OVER_BRPC:
                raise UsageError(
                    f"input {tensor.name!r} of {subject.name} is of {tensor.dtype}, which bRPC "
                    "does not carry",
                    context={"possible": "--protocol http"},
                )
    return tuple(examples.tensor(each) for each in subject.inputs)


def _spoken(language: Language) -> str:
    return f"{language.name}: {', '.join(language.protocols)}"
