"""The command `python -m spacy lstm-ner train`."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.cli._util import import_code, parse_config_overrides, setup_gpu, show_validation_error
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from thinc.api import Config
from wasabi import msg

from ..training.checkpoints import list_checkpoints
from ..training.logger import CURVES, LOG, logger_of_run
from ..training.loop import train
from ..training.resume import DIR_CHECKPOINTS, Resumption, find_resumption, restore_output
from .app import app, exit_on_error


@app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train_cli(
    ctx: typer.Context,
    config_path: Annotated[Path, typer.Argument(metavar="CONFIG", help="Training config")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the trained pipelines and the checkpoints")
    ],
    every: Annotated[
        int, typer.Option("--checkpoint-every", min=1, help="Number of steps between two checkpoints")
    ] = 500,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint, if there is one")] = False,
    code_path: Annotated[
        Optional[Path], typer.Option("--code", "-c", help="Python file with functions to register, imported first")
    ] = None,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="ID of the GPU to use; -1 for the CPU")] = -1,
) -> None:
    """Train a pipeline with checkpoints to resume from.

    Runs the training loop of `spacy train` with the same configs, writes checkpoints, and keeps the last two of them.
    If the run is interrupted, start the command again with --resume. The pipeline is then the same as without the
    interruption; on the CPU and with one thread, it is the same to the last bit. Override settings of the config with
    options such as --paths.train corpus/train.spacy.
    """
    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    if not config_path.exists():
        msg.fail(f"Cannot find the config {config_path}", exits=1)
    setup_gpu(gpu_id)
    if list_checkpoints(output / DIR_CHECKPOINTS) and not resume:
        msg.fail(
            f"{output} has checkpoints of an earlier run",
            f"Resume that run with --resume, or remove {output / DIR_CHECKPOINTS} to start again",
            exits=1,
        )
    restore_output(output)
    with show_validation_error(config_path):
        try:
            config = load_config(config_path, overrides=overrides, interpolate=False)
        except UnicodeDecodeError:
            msg.fail(
                f"{config_path} is not a config, because it is not text",
                "Name the data in the config, or by --paths.train and --paths.dev after it",
                exits=1,
            )
    with exit_on_error(f"Cannot train with {config_path}"):
        resumption = find_resumption(output, config, msg.warn) if resume else None
        if resume:
            _print_start(output, resumption)
        nlp = _new_pipeline(config_path, config, gpu_id) if resumption is None else resumption.nlp
        try:
            streams = {"stdout": sys.stdout, "stderr": sys.stderr}
            train(nlp, output, config, every=every, resumption=resumption, use_gpu=gpu_id, **streams)
        except KeyboardInterrupt:
            last = next(iter(list_checkpoints(output / DIR_CHECKPOINTS)), None)
            goes_on = "there is no checkpoint yet" if last is None else f"resume from {last} with --resume"
            msg.warn(f"Interrupted: {goes_on}", exits=130)
    msg.good(f"Saved pipelines to {output}")
    _print_log(nlp, output)


def _print_log(nlp: Language, output: Path) -> None:
    used = logger_of_run(nlp.config["training"]["logger"], output)
    if used == nlp.config["training"]["logger"]:
        return
    curves = f"their curves to {output / CURVES}"
    if used["figure"] is None:
        curves = "no curves, which need the extra: pip install 'spacy-lstm-ner[report]'"
    msg.info(f"Saved the scores of all evaluations to {output / LOG}, and {curves}")


def _print_start(output: Path, resumption: Optional[Resumption]) -> None:
    if resumption is None:
        msg.info(f"No checkpoint in {output}: training starts from the beginning")
    else:
        msg.info(f"Resuming after {resumption.progress['steps']} steps, from {resumption.path}")


def _new_pipeline(config_path: Path, config: Config, gpu_id: int) -> Language:
    with show_validation_error(config_path, hint_fill=False):
        return init_nlp(config, use_gpu=gpu_id)
