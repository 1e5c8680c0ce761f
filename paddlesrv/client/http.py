"""Asking a paddlesrv server over HTTP, by `POST /predict/{model}`.

The routes and the JSON are those of `paddlesrv.server.http`; a server's errors come back as the
errors that they were there.
"""

from __future__ import annotations

import shlex
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from paddlesrv import __version__, errors
from paddlesrv.errors import PaddlesrvError, Unavailable, UsageError

if TYPE_CHECKING:
    import httpx

    from paddlesrv.server.pictures import Picture
    from paddlesrv.tasks.base import TaskInput, TaskOptions

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
READY_SECONDS = 2.0
POLL_SECONDS = 0.25
IMAGE_TYPE = "application/octet-stream"
"""Said of every picture: the server looks at the bytes, whatever the type."""


class Unreachable(errors.NotFound):
    """Nobody listens at that address, or it is no paddlesrv server."""

    code = "server-not-found"


class HttpClient:
    """One server. To be closed, or used in a `with`."""

    def __init__(self, url: str, key: str | None = None) -> None:
        """Take the server's address, e.g. `http://127.0.0.1:9393`, and the API key to ask with.

        Raises:
            UsageError: that is no http(s) address.
        """
        import httpx

        url = url if "://" in url else f"http://{url}"
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"{url!r} is no server's address", hints=["e.g. http://127.0.0.1:9393"]
            )
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            headers={"User-Agent": f"paddlesrv/{__version__}"}
            | ({"Authorization": f"Bearer {key}"} if key is not None else {}),
            # A proxy of the environment is meant for the outside, not for one's own server.
            trust_env=parts.hostname not in ("127.0.0.1", "localhost", "::1"),
        )

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self, model: str) -> bool:
        """Whether the server would answer for that model now; False too if nobody listens.

        Raises:
            NotFound: the server does not serve it.
        """
        import httpx

        try:
            # A server that still fetches its models takes connections and answers nothing yet.
            response = self._http.get(
                f"/v2/models/{quote(model, safe='')}/ready", timeout=READY_SECONDS
            )
        except httpx.TransportError:
            return False
        if response.status_code == 404:
            raise _error_of(response, self.url)
        return response.status_code == 200

    def wait_ready(self, model: str, seconds: float) -> None:
        """Wait until the server answers for that model.

        Raises:
            NotFound: the server does not serve it.
            Unavailable: it did not become ready in that time.
        """
        deadline = time.monotonic() + seconds
        while not self.ready(model):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unavailable(
                    f"{model} at {self.url} was not ready within {seconds:g} s",
                    hints=["see what its server says, or wait longer: --wait SECONDS"],
                )
            time.sleep(min(POLL_SECONDS, left))

    def predict(self, model: str, item: TaskInput, options: TaskOptions) -> dict[str, Any]:
        """The server's answer on one input: `model`, `task`, `results`, `timing_ms`.

        Raises:
            Unreachable: nobody listens there, or it is another kind of server.
            PaddlesrvError: what the server says is wrong.
        """
        response = self._post(model, item, options)
        try:
            answer = response.json()
            if isinstance(answer["results"], list) and answer["schema"] == 1:
                return dict(answer)
        except (ValueError, KeyError, TypeError):
            pass
        raise _stranger(self.url)

    def picture(self, wanted: Picture, model: str, item: TaskInput, options: TaskOptions) -> bytes:
        """The picture with the model's result painted on it, or the class map, as PNG.

        Raises:
            Unreachable, PaddlesrvError: as `predict`.
        """
        response = self._post(model, item, options, {wanted: "1"})
        if response.headers.get("content-type") != "image/png":
            raise _stranger(self.url)
        return response.content

    def _post(
        self,
        model: str,
        item: TaskInput,
        options: TaskOptions,
        more: dict[str, str] | None = None,
    ) -> httpx.Response:
        import httpx

        query = {"top": str(options.top), **(more or {})}
        if options.threshold is not None:
            query["threshold"] = str(options.threshold)
        if options.tokens:
            query["tokens"] = "1"
        path = f"/predict/{quote(model, safe='')}"
        try:
            if item.kind == "image":
                assert isinstance(item.data, bytes)
                response = self._http.post(
                    path, params=query, content=item.data, headers={"Content-Type": IMAGE_TYPE}
                )
            else:
                response = self._http.post(path, params=query, json={item.kind: item.data})
        except httpx.TimeoutException as error:
            raise errors.DeadlineExceeded(
                f"{self.url} did not answer within {ANSWER_SECONDS:g} s"
            ) from error
        except httpx.TransportError as error:
            raise Unreachable(
                f"no server answers at {self.url}",
                context={"found": str(error) or type(error).__name__},
                hints=[
                    f"start one: paddlesrv serve {shlex.quote(model)}",
                    "or wait for it: --wait 60",
                ],
            ) from error
        if response.status_code != 200:
            raise _error_of(response, self.url)
        return response


def _error_of(response: httpx.Response, url: str) -> PaddlesrvError:
    """A server's error as the error it was; by its code, else by its status."""
    try:
        said = response.json()
        message, code, hint = str(said["error"]), said.get("code"), said.get("hint")
    except (ValueError, KeyError, TypeError, AttributeError):
        return _stranger(url, f"HTTP {response.status_code}")
    kind = _KINDS.get(code) or PaddlesrvError
    return kind(message, hints=[str(hint)] if hint else [])


def _stranger(url: str, found: str = "an answer of another form") -> Unreachable:
    return Unreachable(
        f"what answers at {url} is no paddlesrv server",
        context={"found": found, "wanted": "POST /predict/MODEL"},
        hints=["check --url"],
    )


def _all_kinds() -> dict[str, type[PaddlesrvError]]:
    kinds = [PaddlesrvError]
    for kind in kinds:
        kinds += [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return {kind.code: kind for kind in kinds}


_KINDS = _all_kinds()
