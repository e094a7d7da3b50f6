"""The command `python -m spacy lstm-ner sweep`."""

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from spacy.cli._util import import_code, parse_config_overrides
from wasabi import msg

from ..files import locked, write_atomically
from ..training.sweep import CONFIG, LOG, Row, draw, plan, read_settings, run, tabulate
from .app import app, exit_on_error, needs_extra, print_numbers, write_json

FAILED = 3
"""The exit code if some trials have failed."""


@app.command("sweep", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sweep_cli(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Training config")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the trials; to resume, that of the sweep")],
    given: Annotated[
        Optional[list[str]],
        typer.Option("--set", "-s", help="Setting with values to try, as training.dropout=0.1,0.2; can be repeated"),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Seeds of each combination of values: 0, 1, ...")] = 3,
    workers: Annotated[int, typer.Option("--workers", "-w", min=0, help="Trials at a time; 0: one on each core")] = 0,
    address: Annotated[
        Optional[str], typer.Option("--address", help="Address of a Ray cluster; by default, Ray starts here")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the scores to OUTPUT/sweep.svg")] = False,
    code_path: Annotated[
        Optional[Path], typer.Option("--code", "-c", help="Python file with functions to register, imported first")
    ] = None,
) -> None:
    """Train with several values of settings and several seeds, side by side with Ray Tune.

    Each trial is a run of `spacy train` with one thread. Started again, the command trains only what is missing. It
    prints mean and standard deviation of the dev score, and writes the best config. If trials fail, the others go on,
    and the exit code is 3. Override settings of all trials with options such as --paths.train corpus/train.spacy.
    """
    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    with exit_on_error(f"Cannot sweep {config}"):
        if not config.is_file():
            raise FileNotFoundError(f"{config}: there is no such config")
        settings = read_settings(given or [])
        with locked(output):
            trials = plan(config, output, settings, seeds, overrides, code_path)
            if plot:
                with needs_extra("report"):
                    import matplotlib  # noqa: F401
            try:
                with needs_extra("ray"):
                    errors = run(trials, workers, address, code_path)
            except KeyboardInterrupt:
                msg.warn("Interrupted: start the command again to train what is missing", exits=130)
            rows = tabulate(trials)
            write_json(output / "sweep.json", [_figures(row) for row in rows])
            if plot:
                write_atomically(output / "sweep.svg", draw(rows))
            print_numbers([_cells(row) for row in rows], _header(rows[0]), "Scores on the dev data, in percent")
            if len(rows[0].scores) < seeds:
                (output / "best.cfg").unlink(missing_ok=True)
                msg.warn("No best config: no combination of values has the scores of all seeds")
            else:
                write_atomically(output / "best.cfg", (rows[0].trials[0].folder / CONFIG).read_bytes())
                msg.good(f"The config with the best mean is {output / 'best.cfg'}")
    if errors:
        msg.warn(f"{len(errors)} of {len(trials)} trials failed. Start the command again to train what is missing")
        for name, error in errors.items():
            print(f"  {output / 'trials' / name / LOG}: {error}")
        raise typer.Exit(FAILED)


def _figures(row: Row) -> dict[str, Any]:
    trials = [{"seed": own.seed, "folder": str(own.folder), "scores": own.scores} for own in row.trials]
    return {"setting": row.trials[0].setting, "mean": row.mean, "sd": row.sd, "trials": trials}


def _header(row: Row) -> list[str]:
    return [*(name for name, _ in row.trials[0].shown), "Mean", "SD", "Trials"]


def _cells(row: Row) -> list[str]:
    numbers = ["-" if value is None else f"{100 * value:.2f}" for value in (row.mean, row.sd)]
    return [*(value for _, value in row.trials[0].shown), *numbers, f"{len(row.scores)} of {len(row.trials)}"]
