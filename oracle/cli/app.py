"""The command line: the application, and how its errors are shown."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from oracle import __version__
from oracle.cli.documents import documents
from oracle.cli.layers import layers, new
from oracle.cli.results import print_schema, replay, report
from oracle.cli.run import run
from oracle.cli.shared import Refused

app = typer.Typer(
    name="backproof",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Puts neural-network layers and their gradients on trial.",
)
for command in (run, documents, report, layers, new, replay):
    app.command()(command)
app.command("schema")(print_schema)

# Click's base class of all usage errors. Newer releases of Typer carry a Click of their own.
ClickException: Any = typer.BadParameter.__mro__[2]


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"backproof {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. Every refusal is one line on standard error, without a traceback."""
    try:
        code = app(standalone_mode=False)
    except Refused as error:
        typer.echo(f"backproof: {' '.join(str(error).split())}", err=True)
        code = 2
    except ClickException as error:
        bare = len(sys.argv) == 1  # no command at all: print the help as it is
        text = error.format_message()
        typer.echo(text if bare else f"backproof: {' '.join(text.split())}", err=True)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("backproof: interrupted", err=True)
        code = 130
    sys.exit(code or 0)
