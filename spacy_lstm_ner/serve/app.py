"""The routes of the server."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Annotated, Any, Optional

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from . import label_studio
from .fitting import Fitter
from .limits import UNKNOWN_ERROR, Guard, Limits, ModelThread, error_response
from .model import Served


class AnnotateRequest(BaseModel):
    """The body of `/annotate`."""

    model_config = ConfigDict(strict=True, extra="forbid")
    texts: list[str]
    threshold: Annotated[Optional[float], Field(ge=0, le=1)] = None
    alternatives: Annotated[int, Field(ge=0, le=20)] = 0


class PredictRequest(BaseModel):
    """The body of `/predict`. Label Studio sends more, which is not used."""

    tasks: list[Any]
    label_config: Optional[str] = None


class SetupRequest(BaseModel):
    """The body of `/setup`."""

    label_config: Annotated[Optional[str], Field(validation_alias="schema")] = None


class WebhookRequest(BaseModel):
    """The body of `/webhook`."""

    action: str
    annotation: Any = None
    task: Any = None
    project: Any = None


class Routes:
    """What the routes do.

    Args:
        served (Served): The pipeline.
        limits (Limits): The limits.
        fitter (Optional[Fitter]): What learns submissions; None if nothing does.
    """

    def __init__(self, served: Served, limits: Limits, fitter: Optional[Fitter]) -> None:
        self.served, self._limits, self._fitter = served, limits, fitter
        self._model = ModelThread()
        self._page, self._policy = _page()

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Learn while the server runs."""
        if self._fitter is not None:
            self._fitter.start(self._swap)
        yield
        if self._fitter is not None:
            self._fitter.stop()
        self._model.close()

    def _swap(self, served: Served) -> None:
        self.served = served

    async def health(self) -> dict[str, Any]:
        """Whether the server is up, and what it learns."""
        fit = {"state": "off"} if self._fitter is None else self._fitter.status()
        name = type(self.served.component).__name__
        return {"status": "UP", "model_class": name, "model_version": self.served.version, "fit": fit}

    async def page(self) -> HTMLResponse:
        """A page to try the pipeline."""
        return HTMLResponse(self._page, headers={"content-security-policy": self._policy})

    async def annotate(self, body: AnnotateRequest) -> dict[str, Any]:
        """Find the entities of texts, and their best analyses."""
        self._check(body.texts)
        served = self.served
        found = await self._model.call(served.annotate, body.texts, body.threshold, body.alternatives)
        return {"model_version": served.version, "threshold": served.threshold, "results": found}

    async def setup(self, body: SetupRequest) -> dict[str, Any]:
        """Tell Label Studio the version. Its project may have no labels yet, so only XML that is wrong is an error."""
        with _error_of_the_client():
            label_studio.check_config(body.label_config)
        return {"model_version": self.served.version}

    async def predict(self, body: PredictRequest) -> dict[str, Any]:
        """Predict the regions of Label Studio's tasks."""
        if len(body.tasks) > self._limits.texts:
            raise HTTPException(413, f"More than {self._limits.texts} tasks in a request; send fewer at a time")
        with _error_of_the_client():
            control = label_studio.find_control(body.label_config)
            texts = label_studio.task_texts(body.tasks, control)
        self._check(texts)
        if self._fitter is not None:
            self._fitter.see(texts)
        served = self.served

        def run() -> list[dict[str, Any]]:
            sure = served.best_probabilities(texts)
            return label_studio.predictions(served.records(texts), sure, control, served.version)

        return {"results": await self._model.call(run), "model_version": served.version}

    async def webhook(self, body: WebhookRequest) -> JSONResponse:
        """Take an annotation that was submitted."""
        if body.action not in label_studio.SUBMITTED:
            return JSONResponse({"status": "ignored", "detail": f"{body.action} brings nothing to learn"})
        if self._fitter is None:
            return JSONResponse({"status": "ignored", "detail": "Nothing is learned: the server runs without --fit"})
        with _error_of_the_client():
            submission = label_studio.submission(body.annotation, body.task, body.project)
        if submission is None:
            return JSONResponse({"status": "ignored", "detail": "The annotation was cancelled"})
        self._check([submission.record.text])
        await run_in_threadpool(self._fitter.submit, submission)
        return JSONResponse({"status": "ok", "model_version": self.served.version}, 201)

    def _check(self, texts: Sequence[str]) -> None:
        if len(texts) > self._limits.texts:
            raise HTTPException(413, f"More than {self._limits.texts} texts in a request; send fewer at a time")
        longest = max(map(len, texts), default=0)
        if longest > self._limits.characters:
            raise HTTPException(
                413,
                f"A text has {longest} characters, more than {self._limits.characters}; cut it, for example at \\n\\n",
            )


def create_app(served: Served, limits: Limits, token: Optional[str] = None, fitter: Optional[Fitter] = None) -> Guard:
    """Make the application.

    Args:
        served (Served): The pipeline.
        limits (Limits): The limits of a request.
        token (Optional[str]): The token that requests need; None if only this machine can send some.
        fitter (Optional[Fitter]): What learns submissions; None to learn nothing.

    Returns:
        Guard: The ASGI application.
    """
    routes = Routes(served, limits, fitter)
    # The pages with the documentation of the routes would fetch scripts from another host.
    app = FastAPI(title="spacy-lstm-ner", docs_url=None, redoc_url=None, lifespan=routes.lifespan)
    app.add_api_route("/", routes.page, methods=["GET"], response_class=HTMLResponse)
    app.add_api_route("/health", routes.health, methods=["GET"])
    for name in ("annotate", "setup", "predict", "webhook"):
        app.add_api_route(f"/{name}", getattr(routes, name), methods=["POST"], response_model=None)
    for kind in (HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _answer_error)
    return Guard(app, limits, token)


@contextmanager
def _error_of_the_client() -> Iterator[None]:
    """Turn an error about what a client sent into an answer."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, str(error)) from error


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error with a sentence. After an unknown one, the guard writes the log."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][1:])) or "the body"
        error = HTTPException(422, f"{place}: {first['msg']}")
    elif not isinstance(error, HTTPException):
        error = HTTPException(500, UNKNOWN_ERROR)
    return error_response(error)


def _page() -> tuple[str, str]:
    """The page, and a policy that allows its own script and style, and requests to this server, and nothing else."""
    text = files(__package__).joinpath("page.html").read_text("utf-8")
    hashes = {}
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        hashes[tag] = base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
    own = " ".join(f"{tag}-src 'sha256-{value}';" for tag, value in hashes.items())
    others = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return text, f"default-src 'none'; {own} connect-src 'self'; {others}"
