"""Running the commands."""

from typer.testing import CliRunner

from spacy_lstm_ner.cli import app


def run_command(*arguments):
    """Run `python -m spacy lstm-ner` with some arguments.

    Returns the output in one line, since messages are wrapped to the width of the terminal, and the exit code.
    """
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return " ".join(result.output.split()), result.exit_code
