"""The command `python -m spacy lstm-ner serve`."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from wasabi import msg

from .app import app, exit_on_error, needs_extra


@app.command("serve")
def serve_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Trained pipeline: a folder or an installed package")],
    host: Annotated[str, typer.Option("--host", help="Address to listen on; others than this machine need a token")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on")] = 9090,
    fit: Annotated[
        Optional[Path],
        typer.Option("--fit", help="Folder for what Label Studio submits and for the pipeline that learns from it"),
    ] = None,
    pipe: Annotated[
        Optional[str], typer.Option("--pipe", "-p", help="Name of the component; by default, the first lstm_ner")
    ] = None,
    token: Annotated[
        Optional[str],
        typer.Option(
            "--token", envvar="SPACY_LSTM_NER_TOKEN", help="Token that requests need; rather set it in the environment"
        ),
    ] = None,
    updates: Annotated[int, typer.Option("--updates", min=1, help="Most updates for up to 8 submissions")] = 30,
    learn_rate: Annotated[float, typer.Option("--learn-rate", min=0.0, help="Learning rate of a fit")] = 0.0003,
    rehearse: Annotated[
        float, typer.Option("--rehearse", min=0.0, help="Weight of rehearsal, which keeps what the pipeline knew")
    ] = 1.0,
    max_body: Annotated[int, typer.Option("--max-body", min=1, help="Bytes of a request")] = 4_000_000,
    max_texts: Annotated[int, typer.Option("--max-texts", min=1, help="Texts or tasks of a request")] = 500,
    max_characters: Annotated[int, typer.Option("--max-characters", min=1, help="Characters of a text")] = 100_000,
    max_requests: Annotated[int, typer.Option("--max-requests", min=1, help="Requests that run or wait")] = 64,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for a request")] = 60.0,
) -> None:
    """Serve a pipeline: a page to try it, JSON at /annotate, and the ML backend protocol of Label Studio.

    With --fit, the pipeline learns from each annotation that is submitted in Label Studio, and answers with what it has
    learned some seconds later. MODEL itself is not changed.
    """
    with exit_on_error(f"Cannot serve {model}"):
        with needs_extra("serve"):
            import uvicorn

            from ..serve.app import create_app
            from ..serve.fitting import FitSettings, Fitter
            from ..serve.limits import Limits, is_loopback
            from ..serve.model import Served
        if not token and not is_loopback(host):
            raise ValueError(
                f"--host is {host}, which other machines can reach, so requests need a token: set the environment "
                "variable SPACY_LSTM_NER_TOKEN"
            )
        fitter = Fitter(model, fit, pipe, FitSettings(updates, learn_rate, rehearse)) if fit is not None else None
        served = Served.load(model, pipe) if fitter is None else fitter.load()
        limits = Limits(max_body, max_texts, max_characters, max_requests, timeout)
        application = create_app(served, limits, token or None, fitter)
    msg.good(f"{served.version} at http://{f'[{host}]' if ':' in host else host}:{port}; stop it with Ctrl+C")
    uvicorn.run(
        application,
        host=host,
        port=port,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=max_requests + 1000,
        timeout_graceful_shutdown=5,
    )
