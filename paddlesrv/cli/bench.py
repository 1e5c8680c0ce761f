"""`bench`: how fast a model is served, here or anywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli import inputs, options
from paddlesrv.cli.command import command
from paddlesrv.cli.own_key import ApiKeyFrom, own_key
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import PaddlesrvError, UsageError

if TYPE_CHECKING:
    import httpx

    from paddlesrv.bench.load import Job
    from paddlesrv.bench.report import Point
    from paddlesrv.bench.subject import Protocol, Subject
    from paddlesrv.bench.wires import Sent

PANEL = "Serving"
_BUSY = 0.9
"""Share of a core from which on the generator may be what is measured."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "bench",
        panel=PANEL,
        examples=[
            "paddlesrv bench page_orientation",
            "paddlesrv bench ocr --input picture.png --concurrency 1,4",
            "paddlesrv bench http://127.0.0.1:9393 --model lac --protocol all",
            "paddlesrv bench http://127.0.0.1:9393 --rate 50,100 --duration 30",
            "paddlesrv bench http://10.0.0.5:8000 --model resnet --shape input=1,3,224,224",
            "paddlesrv bench ./my_model --threads 1 --instances 2 --export figures.json",
        ],
    )(bench)


def bench(
    shell: Shell,
    target: Annotated[
        str,
        typer.Argument(metavar="MODEL|URL", help="A model, which is served for it; or a server."),
    ],
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="With a URL: which of its models.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="http, http-binary, grpc, brpc, tensorflow-rest, tensorflow-grpc, predict; several"
            " with commas; all. Default: http-binary, or predict with --input.",
        ),
    ] = None,
    concurrency: Annotated[
        str, typer.Option("-c", "--concurrency", metavar="N,N", help="Connections; one row each.")
    ] = "1,4,16",
    rate: Annotated[
        str | None,
        typer.Option(metavar="R,R", help="Requests/s that arrive at random, kept up with or not."),
    ] = None,
    duration: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Seconds for each row.")
    ] = 5.0,
    requests: Annotated[
        int, typer.Option(min=0, metavar="N", help="End a row after so many requests.")
    ] = 0,
    warmup: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds before, which do not count.")
    ] = 1.0,
    repeat: Annotated[
        int, typer.Option(min=1, metavar="N", help="Measure each row so often, in turns; medians.")
    ] = 1,
    word: Annotated[
        str | None,
        typer.Option("--input", metavar="INPUT", help="A picture, a text or features to send."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, metavar="ROWS", help="Rows in a request.")] = 1,
    shape: Annotated[
        list[str] | None,
        typer.Option("--shape", metavar="NAME=N,N", help="Shape of an input with open sides."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, metavar="S", help="No answer after this is an error.")
    ] = 30.0,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where the load goes, if not to the URL's port."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where batches are counted; default: URL/metrics."),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="Who may sign an https server's key."),
    ] = None,
    api_key_from: ApiKeyFrom = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every measurement as JSON.")
    ] = None,
    gpu: options.Gpu = None,
    cpu: options.Cpu = False,
    precision: options.PrecisionFlag = None,
    engine: options.EngineFlag = None,
    instances: options.Instances = None,
    threads: options.Threads = None,
    max_batch_size: options.MaxBatchSize = None,
    max_delay: options.MaxDelay = None,
) -> int:
    """Measure requests per second and latency, over any of the protocols.

    So many connections send one request after another (closed loop), or with --rate requests
    arrive at random whether or not the server keeps up, and each counts from when it was due.
    A model is served for it on a free port, as `serve` would; a URL is any server that speaks the
    Open Inference Protocol, TensorFlow Serving's, or bRPC.
    """
    flags = _serve_flags(
        gpu=gpu, cpu=cpu, precision=precision, engine=engine, instances=instances,
        threads=threads, max_batch_size=max_batch_size, max_delay=max_delay,
    )  # fmt: skip
    remote = target.startswith(("http://", "https://"))
    if remote and flags:
        raise UsageError(
            "where and how a model runs is its server's business",
            context={"found": " ".join(flags)},
            hints=["leave these flags out, or name a model instead of a URL"],
        )
    if not remote and (model or address or metrics or ca or api_key_from):
        raise UsageError(
            "--model, --address, --metrics, --ca and --api-key-from are of a server that runs",
            hints=["name its address instead of a model: http://127.0.0.1:9393"],
        )
    asked = _Asked(
        shell=shell,
        protocols=_protocols(protocol, word),
        loads=_loads(concurrency, rate),
        word=word,
        batch=batch,
        shapes=_shapes(shape or ()),
        repeat=repeat,
        timing={"seconds": duration, "requests": requests, "warm_up": warmup, "timeout": timeout},
        address=address,
        ca=str(ca) if ca else None,
        key=own_key(api_key_from) if api_key_from else None,
    )
    with _server(target, flags) if not remote else contextlib.nullcontext(target) as url:
        return _measure(shell, asked, url.rstrip("/"), model, metrics, export)


def _measure(
    shell: Shell,
    asked: _Asked,
    url: str,
    model: str | None,
    metrics: str | None,
    export: Path | None,
) -> int:
    import httpx

    from paddlesrv.bench import subject

    host, port, tls = subject.address(url)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = {"authorization": f"Bearer {asked.key}"} if asked.key else {}
    with httpx.Client(
        timeout=30, trust_env=False, verify=asked.verify(), headers=headers
    ) as client:
        found = subject.find(url, model, client)
        if not found.inputs and asked.protocols == ["http-binary"]:
            asked.protocols[:] = ["predict"]
        sent = {p: asked.sent(found, p, authority) for p in asked.protocols}
        runs = _Runs(asked, found.model, metrics or f"{url}/metrics", client, (host, port, tls))
        for protocol, request in sent.items():
            runs.check(protocol, request)
        points = runs.all(sent)
    _tell(shell, found, asked, points)
    if export is not None:
        _export(export, found, asked, points)
        shell.output.note(f"wrote {export}")
    return 0 if any(point.rate for point in points) else 1


class _Asked:
    """What is to be measured."""

    def __init__(
        self,
        *,
        shell: Shell,
        protocols: list[Protocol],
        loads: list[tuple[int, float | None]],
        word: str | None,
        batch: int,
        shapes: dict[str, tuple[int, ...]],
        repeat: int,
        timing: dict[str, Any],
        address: str | None,
        ca: str | None,
        key: str | None,
    ) -> None:
        self.output = shell.output
        self.protocols = protocols
        self.loads = loads
        self.word = word
        self.batch = batch
        self.shapes = shapes
        self.repeat = repeat
        self.timing = timing
        self.address = address
        self.ca = ca
        self.key = key

    def verify(self) -> Any:
        """What httpx checks certificates with."""
        import ssl

        return ssl.create_default_context(cafile=self.ca) if self.ca else True

    def sent(self, found: Subject, protocol: Protocol, authority: str) -> Sent:
        """The request in a protocol, with the key if there is one."""
        made = self._made(found, protocol, authority)
        return made.with_key(self.key) if self.key else made

    def _made(self, found: Subject, protocol: Protocol, authority: str) -> Sent:
        from paddlesrv.bench import subject

        if protocol != "predict":
            inputs_made = subject.tensors(found, self.batch, self.shapes)
            return subject.requests(found, protocol, inputs_made, authority)
        if self.word is None:
            raise UsageError(
                f"{found.model!r} is to be asked with a picture, a text or features",
                hints=["give one: --input FILE"],
            )
        item = inputs.read(self.word, None, as_text=not Path(self.word).exists())
        if item.kind == "text" and self.word[:1] in ("[", "{"):
            item = inputs.read(self.word, "features", as_text=False)
        return subject.prediction(found, item.data, authority)

    def job(self, sent: Sent, place: tuple[str, int, bool], load: tuple[int, float | None]) -> Job:
        """One measurement."""
        from paddlesrv.bench.load import Job

        host, port, tls = place
        if self.address is not None:
            host, _, text = self.address.rpartition(":")
            if not host or not text.isdigit():
                raise UsageError(f"--address {self.address!r} is not HOST:PORT")
            port, host = int(text), host.strip("[]")
        return Job(
            host=host, port=port, tls=tls, ca=self.ca, sent=sent, connections=load[0],
            rate=load[1], **self.timing,
        )  # fmt: skip


class _Runs:
    """The measurements, one after another."""

    def __init__(
        self,
        asked: _Asked,
        model: str,
        metrics: str,
        client: httpx.Client,
        place: tuple[str, int, bool],
    ) -> None:
        self._asked = asked
        self._model = model
        self._metrics = metrics
        self._client = client
        self._place = place

    def check(self, protocol: Protocol, sent: Sent) -> None:
        """One request, before there are thousands.

        Raises:
            PaddlesrvError: it has no good answer.
        """
        from msgspec.structs import replace

        from paddlesrv.bench.generator import generate
        from paddlesrv.bench.subject import refusal

        job = replace(self._asked.job(sent, self._place, (1, None)), requests=1, warm_up=0.0)
        result = generate(job)
        if not result.times:
            why = ", ".join(result.errors) or "no answer"
            said = result.said or refusal(job)
            raise PaddlesrvError(
                f"the server does not answer over {protocol}: {why}",
                context={"said": said} if said else {},
                hints=["see what it speaks: paddlesrv bench --help"],
            )

    def all(self, sent: dict[Protocol, Sent]) -> list[Point]:
        """Each load over each protocol, `repeat` times in turns; medians."""
        from paddlesrv.bench.report import middle

        cases = [(p, load) for p in sent for load in self._asked.loads]
        found: dict[Any, list[Point]] = {case: [] for case in cases}
        total = len(cases) * self._asked.repeat
        for number in range(self._asked.repeat):
            for place, (protocol, load) in enumerate(cases):
                count = number * len(cases) + place + 1
                self._asked.output.note(f"measuring {protocol}, {_words(load)} ({count}/{total})")
                found[protocol, load].append(self._one(protocol, sent[protocol], load))
        return [middle(points) for points in found.values()]

    def _one(self, protocol: Protocol, sent: Sent, load: tuple[int, float | None]) -> Point:
        from paddlesrv.bench import batches, report
        from paddlesrv.bench.generator import generate

        before = batches.read(self._metrics, self._model, self._client)
        result = generate(self._asked.job(sent, self._place, load))
        after = batches.read(self._metrics, self._model, self._client)
        return report.point(protocol, load[0], load[1], result, batches.mean(before, after))


@contextlib.contextmanager
def _server(model: str, flags: Sequence[str]) -> Iterator[str]:
    from paddlesrv.bench.own_server import serving

    with serving([model, *flags]) as url:
        yield url


# -- words -----------------------------------------------------------------------------------------


def _serve_flags(**given: Any) -> list[str]:
    """The flags of `serve` that were given, as words."""
    words: list[str] = []
    for name, value in given.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [flag, str(getattr(value, "value", value))]
    return words


def _protocols(text: str | None, word: str | None) -> list[Protocol]:
    from paddlesrv.bench.subject import PROTOCOLS, TENSORS

    if text is None:
        return ["predict" if word is not None else "http-binary"]
    if text == "all":
        return list(PROTOCOLS if word is not None else TENSORS)
    known = {protocol: protocol for protocol in PROTOCOLS}
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"--protocol {unknown[0]!r} is none that is known",
            context={"wanted": ", ".join([*PROTOCOLS, "all"])},
        )
    return [known[name] for name in dict.fromkeys(names)]  # type: ignore[index]


def _loads(concurrency: str, rate: str | None) -> list[tuple[int, float | None]]:
    """Connections and, in an open loop, requests/s, for each row."""
    connections = [int(n) for n in _numbers("--concurrency", concurrency, whole=True)]
    if rate is None:
        return [(n, None) for n in connections]
    most = max(connections) if concurrency != "1,4,16" else 256
    return [(most, r) for r in _numbers("--rate", rate, whole=False)]


def _numbers(flag: str, text: str, *, whole: bool) -> list[float]:
    try:
        values = [float(int(part)) if whole else float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 < value < 1e6 for value in values):
        raise UsageError(
            f"{flag} takes numbers above 0 with commas between, not {text!r}",
            hints=[f"for example: {flag} 1,4,16"],
        )
    return values


def _shapes(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        sides = text.split(",")
        if not equals or not all(side.isascii() and side.isdigit() and int(side) for side in sides):
            raise UsageError(
                f"--shape {word!r} is not NAME=N,N", hints=["for example: --shape x=1,3,224,224"]
            )
        found[name] = tuple(int(side) for side in sides)
    return found


def _words(load: tuple[int, float | None]) -> str:
    connections, rate = load
    if rate is not None:
        return f"{rate:g} requests/s"
    return f"{connections} connection" + ("s" if connections > 1 else "")


# -- results ---------------------------------------------------------------------------------------


def _tell(shell: Shell, found: Subject, asked: _Asked, points: Sequence[Point]) -> None:
    out = shell.output
    several = len(asked.protocols) > 1
    opened = asked.loads[0][1] is not None

    def human() -> None:
        head = ["PROTOCOL"] if several else []
        head += ["RATE" if opened else "CONC", "REQ/S", "P50 MS", "P95 MS", "P99 MS", "AVG BATCH",
                 "ERRORS"]  # fmt: skip
        rows = []
        for p in points:
            load = f"{p.asked_rate:g}" if p.asked_rate is not None else str(p.connections)
            rows.append(
                ([p.protocol] if several else [])
                + [load, f"{p.rate:.1f}", *map(_ms, (p.p50_ms, p.p95_ms, p.p99_ms))]
                + ["-" if p.batch is None else f"{p.batch:.1f}", str(p.failed)]
            )
        out.table(head, rows)

    out.answer(_record(found, asked, points), names=[f"{p.rate:g}" for p in points], human=human)
    for p in points:
        load = (p.connections, p.asked_rate)
        for kind, count in sorted(p.errors.items(), key=lambda each: -each[1]):
            out.warning(f"{p.protocol}, {_words(load)}: {count} x {kind}")
        if p.generator_busy > _BUSY:
            out.warning(
                f"{p.protocol}, {_words(load)}: the generator itself used {p.generator_busy:.0%} of"
                " a core; the server may do more"
            )


def _record(found: Subject, asked: _Asked, points: Sequence[Point]) -> dict[str, Any]:
    return {
        "url": found.url,
        "model": found.model,
        "rows_per_request": asked.batch,
        "repeat": asked.repeat,
        "timing": asked.timing,
        "points": list(points),
    }


def _export(path: Path, found: Subject, asked: _Asked, points: Sequence[Point]) -> None:
    import msgspec

    from paddlesrv.cli.output import SCHEMA

    document = {"schema": SCHEMA, **_record(found, asked, points)}
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
