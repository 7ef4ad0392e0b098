"""The commands on layers: ``backproof layers`` and ``backproof new``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from oracle.cli.shared import Refused, console, listed


def layers(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """The layers, their configuration, and the documents they come from."""
    from oracle.layers import LAYERS

    rows: list[dict[str, Any]] = [
        {
            "layer": layer.name,
            "arrays": [name + "?" * (name in layer.optional) for name in layer.arrays],
            "configuration": {k: None if v is ... else v for k, v in layer.options.items()},
            "required": [k for k, v in layer.options.items() if v is ...],
            "documents": list(layer.documents),
        }
        for layer in LAYERS.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table("layer", "arrays", "configuration", "documents", box=None)
    for row in rows:
        options = [k if k in row["required"] else f"{k}={v!r}" for k, v in row["configuration"].items()]
        table.add_row(row["layer"], ", ".join(row["arrays"]), ", ".join(options), "; ".join(row["documents"]))
    console().print(table)


def new(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="The file to write; it must not exist.")],
    layers: Annotated[str, typer.Option(help="Layers, separated by commas.")] = "linear,relu,conv2d",
) -> None:
    """Write a commented target file to start from; it conforms as it stands."""
    from oracle.cli.scaffold import target_source
    from oracle.layers import LAYERS

    chosen = listed("layer", layers, LAYERS)
    if not chosen:
        raise Refused("--layers is empty; 'backproof layers' lists them")
    if file.suffix != ".py":
        raise Refused(f"{file} must end in .py to be a target")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(target_source(str(file), chosen))
    except FileExistsError:
        raise Refused(f"{file} exists already; nothing was written") from None
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror}") from None
    typer.echo(f"{file}\nbackproof run --target {file} --layers {','.join(chosen)}")
