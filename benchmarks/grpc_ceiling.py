"""How much of a small gRPC call is gRPC's own: bare servers beside ours, one machine, one run.

Run: python -m benchmarks.grpc_ceiling [SECONDS] [CLIENTS]

Every server is a process of its own and is asked by the same clients with the same request: a
linear model's 13 features by `ModelInfer`. The bare ones answer with the bytes that they were
sent: `aio` as ours does, on uvloop; `threads` by gRPC's synchronous server.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import uvloop
from paddlesrv_client.wire.messages import message

METHOD = "/inference.GRPCInferenceService/ModelInfer"
REPEATS = 3


def bare_aio(pipe: Connection) -> None:
    """grpc.aio, bytes in and the same bytes out."""

    async def main() -> None:
        async def answer(body: bytes, _: Any) -> bytes:
            return body

        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(answer)
        server.add_generic_rpc_handlers((_generic(handler),))
        pipe.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    uvloop.run(main())


def bare_threads(pipe: Connection) -> None:
    """The synchronous server, with eight threads."""
    server = grpc.server(ThreadPoolExecutor(8))
    handler = grpc.unary_unary_rpc_method_handler(lambda body, _: body)
    server.add_generic_rpc_handlers((_generic(handler),))
    pipe.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def parsing_aio(pipe: Connection) -> None:
    """grpc.aio with the work of the codec, and no model behind it."""
    from paddlesrv.models.tensor import Tensor
    from paddlesrv.server.protocols import open_inference_proto
    from paddlesrv.server.request import InferResponse

    async def main() -> None:
        async def answer(body: bytes, _: Any) -> bytes:
            request = open_inference_proto.decode(
                open_inference_proto.ModelInferRequest.FromString(body)
            )
            y = Tensor(request.inputs["x"].data[:, :1])
            response = open_inference_proto.encode(InferResponse("linear", "1", {"y": y}))
            content: bytes = response.SerializeToString()
            return content

        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(answer)
        server.add_generic_rpc_handlers((_generic(handler),))
        pipe.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    uvloop.run(main())


def ours(pipe: Connection) -> None:
    """The whole server: scheduler, worker, ONNX Runtime."""
    from paddlesrv.server.grpc.server import GrpcServer
    from paddlesrv.server.repository import Repository
    from tests.server.harness import local_spec, serving, setup
    from tests.standins import linear

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            linear.write_onnx(Path(folder))
            async with serving(setup(local_spec(Path(folder), "linear"), Path(folder))) as service:
                server = GrpcServer(service, Repository(service), max_message_bytes=1 << 20)
                (port,) = await server.start(["127.0.0.1:0"])
                pipe.send(port)
                await asyncio.Event().wait()

    uvloop.run(main())


def _generic(handler: Any) -> Any:
    service, method = METHOD[1:].split("/")
    return grpc.method_handlers_generic_handler(service, {method: handler})


@contextmanager
def running(server: Callable[[Connection], None]) -> Iterator[tuple[str, psutil.Process]]:
    """A server in a process of its own: its address, and the process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=server, args=(there,))
    process.start()
    try:
        yield f"127.0.0.1:{here.recv()}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join()


async def load(
    address: str, process: psutil.Process, seconds: float, clients: int
) -> tuple[float, float]:
    """Calls a second, and microseconds of the server's processor for one.

    So many clients share one connection, and each asks again when it is answered.
    """
    request = message("inference.ModelInferRequest")(model_name="linear")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 13])
    request.raw_input_contents.append(np.ones(13, np.float32).tobytes())
    body = request.SerializeToString()
    done = 0
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)
        await call(body, wait_for_ready=True)
        end = time.monotonic() + seconds
        before = process.cpu_times()

        async def ask() -> None:
            nonlocal done
            while time.monotonic() < end:
                await call(body)
                done += 1

        await asyncio.gather(*(ask() for _ in range(clients)))
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return done / seconds, used / done * 1e6


def main(seconds: float = 4.0, clients: int = 16) -> None:
    """Ask each server in turn, several times over, so that the machine's moods fall on all."""
    servers = (bare_aio, bare_threads, parsing_aio, ours)
    rates: dict[str, list[tuple[float, float]]] = {server.__name__: [] for server in servers}
    for _ in range(REPEATS):
        for server in servers:
            with running(server) as (address, process):
                found = uvloop.run(load(address, process, seconds, clients))
                rates[server.__name__].append(found)
    ceiling = max(rate for rate, _ in rates["bare_aio"])
    for name, runs in rates.items():
        best = max(rate for rate, _ in runs)
        cost = min(cost for _, cost in runs)
        shown = (
            f"{best:6.0f} calls/s  {best / ceiling:4.0%} of bare aio  {cost:5.0f} us of processor"
        )
        print(f"{name:14} {shown} a call")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((float, int), sys.argv[1:], strict=False)))
