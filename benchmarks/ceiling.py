"""The engine alone in this process: what no server on the same engine can exceed."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Protocol

import numpy as np

from benchmarks.networks import Network
from benchmarks.peers import network as engine


class Runs(Protocol):
    """A network that is loaded."""

    def run(self, x: np.ndarray) -> np.ndarray:
        """Rows in, rows out."""
        ...


def session(network: Network, threads: int) -> Runs:
    """The network as all peers load it; with Paddle, as paddlesrv does."""
    if network.engine == "paddle":
        return OnPaddle(network, threads)
    model = str(network.onnx / "model.onnx")
    job = SimpleNamespace(model=model, threads=threads, input=network.input, output=network.output)
    return engine.Network(job)


class OnPaddle:
    """Paddle's predictor, behind paddlesrv's thin engine."""

    def __init__(self, network: Network, threads: int) -> None:
        from paddlesrv.engines import load_engine
        from paddlesrv.engines.base import EngineOptions
        from paddlesrv.models.tensor import Tensor
        from tests.server.harness import local_spec

        spec = local_spec(network.paddle, network.name)
        options = EngineOptions(engine="paddle", threads=threads)
        self._engine = load_engine(spec, network.paddle, options)
        self._tensor = Tensor
        self._input = network.input

    def run(self, x: np.ndarray) -> np.ndarray:
        """Rows in, rows out."""
        (y,) = self._engine.run({self._input: self._tensor(x)}).values()
        return y.data


class Ceiling:
    """As many sessions as servers have workers, each in a thread of its own."""

    def __init__(self, network: Network, threads: int, workers: int) -> None:
        self._row = network.row()
        self._sessions = [session(network, threads) for _ in range(workers)]

    def answer(self) -> np.ndarray:
        """The row that every server must answer."""
        row: np.ndarray = self._sessions[0].run(self._row)[0]
        return row

    def rate(self, rows: int, seconds: float) -> float:
        """Rows per second, all workers together, in batches of `rows`."""
        x = np.repeat(self._row, rows, axis=0)
        for each in self._sessions:
            each.run(x)
        rates = [0.0] * len(self._sessions)

        def work(index: int) -> None:
            run, done, started = self._sessions[index].run, 0, time.perf_counter()
            while (now := time.perf_counter()) - started < seconds or not done:
                run(x)
                done += 1
            rates[index] = done * rows / (now - started)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(rates))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(rates)

    def milliseconds(self, seconds: float) -> float:
        """The median time of one run of one row, on one worker."""
        run, times = self._sessions[0].run, []
        run(self._row)
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until or not times:
            run(self._row)
            times.append(time.perf_counter() - began)
        return float(np.median(times)) * 1e3
