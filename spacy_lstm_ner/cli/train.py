"""``python -m spacy lstm-ner train``"""

from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.cli._util import import_code, parse_config_overrides, setup_gpu, show_validation_error
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from wasabi import msg

from ..training.checkpoints import list_checkpoints
from ..training.loop import train
from ..training.resume import DIR_CHECKPOINTS, find_resumption, restore_output
from .app import app


@app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train_cli(
    ctx: typer.Context,
    config_path: Annotated[Path, typer.Argument(metavar="CONFIG", help="Config file")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pipelines and the checkpoints")],
    every: Annotated[int, typer.Option("--checkpoint-every", min=1, help="Steps from checkpoint to checkpoint")] = 500,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one")] = False,
    code_path: Annotated[Optional[Path], typer.Option("--code", "-c", help="Python file to be imported")] = None,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU to use; -1 for the CPU")] = -1,
) -> None:
    """Train like `spacy train`, with checkpoints to go on from.

    A run that was stopped, in whatever way, and is resumed gives the pipeline that it would have given without the
    interruption: on the CPU and with one thread, to the last bit. Settings of the config can be given as options, such
    as --paths.train.
    """
    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    if not config_path.exists():
        msg.fail(f"Cannot find the config {config_path}", exits=1)
    setup_gpu(gpu_id)
    if list_checkpoints(output / DIR_CHECKPOINTS) and not resume:
        msg.fail(
            f"{output} has checkpoints of an earlier run",
            f"Go on from the last one with --resume, or remove {output / DIR_CHECKPOINTS} to start anew",
            exits=1,
        )
    restore_output(output)
    with show_validation_error(config_path):
        config = load_config(config_path, overrides=overrides, interpolate=False)
    try:
        resumption = find_resumption(output, config, msg.warn) if resume else None
        if resumption is None:
            if resume:
                msg.info(f"No checkpoint in {output}: training starts")
            with show_validation_error(config_path, hint_fill=False):
                nlp = init_nlp(config, use_gpu=gpu_id)
        else:
            nlp = resumption.nlp
            msg.info(f"Going on after {resumption.progress['steps']} steps, from {resumption.path}")
        train(nlp, output, config, every=every, resumption=resumption, use_gpu=gpu_id)
    except (ValueError, OSError) as error:
        msg.fail(f"Cannot train with {config_path}", error, exits=1)
    msg.good(f"Saved pipelines to {output}")
