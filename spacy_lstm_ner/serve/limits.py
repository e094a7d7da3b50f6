"""What a request may be and do, before any route sees it: who may send it, how large it is, and how long it takes.

- A browser is the way in for strangers while the server is for this machine only. So without a token, the Host header
  must name this machine (against DNS rebinding), and in all cases a page of another site may send nothing.
- The model answers one request after the other (`ModelThread`). A running call cannot be interrupted. After its time
  the client gets an answer, and the call goes on; calls that wait are dropped at their time. So at most one call runs
  for nobody, and the limits of size bound how long.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import json
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Optional, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")
logger = logging.getLogger("spacy_lstm_ner.serve")
_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store", "referrer-policy": "no-referrer"}
_OPEN = "/health"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]+)?", re.ASCII)
UNKNOWN_ERROR = "An error in the server; see its log"


@dataclass(frozen=True)
class Limits:
    """The limits of a request.

    Attributes:
        body (int): The bytes of a body.
        texts (int): The texts, or tasks, of a request.
        characters (int): The characters of a text.
        requests (int): The requests that run or wait at a time.
        seconds (float): The time of a request.
    """

    body: int = 4_000_000
    texts: int = 500
    characters: int = 100_000
    requests: int = 64
    seconds: float = 60.0


def is_loopback(host: str) -> bool:
    """Whether a name or an address stands for this machine only."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ModelThread:
    """The thread that runs all calls of the model, since a pipeline is for one thread at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function after the calls that wait. If the caller is cancelled before its turn, it does not run."""
        return await asyncio.wrap_future(self._pool.submit(function, *arguments))

    def close(self) -> None:
        """Drop the calls that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Guard:
    """An ASGI application that passes on the requests that keep the limits, and answers all others itself.

    Args:
        app (ASGIApp): The application with the routes.
        limits (Limits): The limits.
        token (Optional[str]): The token that a request must have; None if the server is for this machine only.

    Attributes:
        running (int): The requests that run or wait.
    """

    def __init__(self, app: ASGIApp, limits: Limits, token: Optional[str]) -> None:
        self._app, self._limits, self.running = app, limits, 0
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in _HEADERS.items())]
            await send(message)

        try:
            await self._handle(scope, receive, answer)
        except HTTPException as refusal:
            if not started:
                await error_response(refusal)(scope, receive, answer)
        except Exception:
            logger.exception("Error while answering %s %s", scope["method"], scope["path"])
            if not started:
                await error_response(HTTPException(500, UNKNOWN_ERROR))(scope, receive, answer)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.lower().decode("latin-1"), value) for name, value in scope["headers"]]
        self._check_sender(scope, headers)
        if scope["path"] == _OPEN:
            await self._app(scope, receive, send)
            return
        if self.running >= self._limits.requests:
            raise HTTPException(503, "Too many requests at a time; try again later", {"retry-after": "1"})
        self.running += 1
        waiting_for_body = scope["method"] == "POST"

        async def run() -> None:
            nonlocal receive, waiting_for_body
            if scope["method"] == "POST":
                body = await self._read(headers, receive)
                waiting_for_body, receive = False, _again(body, receive)
            await self._app(scope, receive, send)

        try:
            await asyncio.wait_for(run(), self._limits.seconds)
        except asyncio.TimeoutError:
            if waiting_for_body:
                raise HTTPException(408, "The body of the request did not arrive in time") from None
            raise HTTPException(504, f"No answer within {self._limits.seconds:g} seconds; send less text") from None
        finally:
            self.running -= 1

    def _check_sender(self, scope: Scope, headers: list[tuple[str, bytes]]) -> None:
        def values(name: str) -> list[str]:
            return [value.decode("latin-1") for key, value in headers if key == name]

        hosts = values("host")
        name = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if self._token is None and (name is None or not is_loopback(name[1].strip("[]"))):
            raise HTTPException(403, "The Host header does not name this machine; start the server with a token")
        own = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
        foreign = any(origin not in own for origin in values("origin")) or "cross-site" in values("sec-fetch-site")
        if foreign and scope["method"] != "GET":
            raise HTTPException(403, "Pages of other sites may not send requests")
        if self._token is not None and scope["path"] != _OPEN and not self._is_known(values("authorization")):
            basic = {"www-authenticate": 'Basic realm="spacy-lstm-ner", charset="UTF-8"'}
            raise HTTPException(401, "Send the token: Authorization: Bearer TOKEN, or basic authentication", basic)
        if scope["method"] == "POST" and [kind.partition(";")[0].strip() for kind in values("content-type")] != [
            "application/json"
        ]:
            raise HTTPException(415, "Send JSON, with the header Content-Type: application/json")

    def _is_known(self, authorization: list[str]) -> bool:
        """Whether a request has the token, as a bearer or as the password of basic authentication."""
        if len(authorization) != 1 or self._token is None:
            return False
        kind, _, value = authorization[0].partition(" ")
        given = value.strip().encode("latin-1")
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        return kind.lower() in ("basic", "bearer") and hmac.compare_digest(given, self._token)

    async def _read(self, headers: list[tuple[str, bytes]], receive: Receive) -> bytes:
        """Read a body within the limit, whatever length it claims to have, and check that it is clean JSON."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise HTTPException(400, "The client left before the end of the body")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limits.body:
                raise HTTPException(413, f"The body has more than {self._limits.body} bytes; send less at a time")
        if problem := json_problem(bytes(body)):
            raise HTTPException(400, problem)
        return bytes(body)


def json_problem(body: bytes) -> Optional[str]:
    """What is wrong with a body of JSON, in a sentence; None if nothing is.

    Python reads more than JSON: NaN, and half of a surrogate pair, which is no text and cannot be written.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return "The JSON has half of a surrogate pair, which is no text"
    except UnicodeDecodeError:
        return "The body is not UTF-8"
    except RecursionError:
        return "The JSON is nested too deeply"
    except ValueError as error:
        return f"The body is no JSON: {error}"
    return None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _again(body: bytes, receive: Receive) -> Receive:
    """Receive a body that was read already, and then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def read() -> Message:
        return messages.pop() if messages else await receive()

    return read


def error_response(error: HTTPException) -> JSONResponse:
    """The answer to a request that fails."""
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
