"""The commands on layers: ``backproof layers`` and ``backproof new``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from oracle.cli.shared import Refused, console, listed


def layers(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Say everything about one layer.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the layers, or say everything about one: formula, shapes, options, what must be refused, and known slips."""
    from oracle.layers import LAYERS
    from oracle.layers.describe import details, summary

    if name:
        if name not in LAYERS:
            raise Refused(f"there is no layer {name!r}; there are {', '.join(LAYERS)}")
        found = details(LAYERS[name]) | _slips(name)
        typer.echo(json.dumps(found, indent=1) if as_json else _described(found))
        return
    rows = [summary(layer) for layer in LAYERS.values()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table("layer", "arrays", "configuration", "documents", box=None)
    for row in rows:
        options = [k if k in row["required"] else f"{k}={v!r}" for k, v in row["configuration"].items()]
        table.add_row(row["layer"], ", ".join(row["arrays"]), ", ".join(options), "; ".join(row["documents"]))
    console().print(table)


def _slips(name: str) -> dict[str, Any]:
    """Return the known slips of a layer, and those that no case can tell from the truth, each with the reason."""
    from oracle.slips import slips_of
    from oracle.trial.plan import equivalent_slips

    equivalent, no_effect = equivalent_slips(name, "float32")
    slips = [slip for slip in slips_of(name) if slip.sentence not in no_effect]
    return {
        "slips": [{"sentence": slip.sentence, "resembles": slip.resembles} for slip in slips],
        "equivalent": dict(equivalent),
    }


def _described(layer: dict[str, Any]) -> str:
    """Describe a layer in lines of text."""
    lines = [layer["layer"], "", *layer["formula"].splitlines(), "", "arrays"]
    for array in layer["arrays"]:
        notes = [array["holds"], *["optional"] * array["optional"], *["takes no gradient"] * (not array["gradient"])]
        lines.append(f"    {array['name']} {array['shape']}: {', '.join(notes)}")
    lines += ["outputs", *(f"    {output['name']} {output['shape']}" for output in layer["outputs"])]
    if layer["options"]:
        lines.append("options")
    for option in layer["options"]:
        default = " (required)" if option["required"] else f" = {option['default']!r}"
        lines.append(f"    {option['name']}{default}" + f": {option['values']}" * bool(option["values"]))
    lines.append("must be refused" if layer["refused"] else "nothing must be refused")
    for refusal in layer["refused"]:
        shapes = ", ".join(f"{array} {tuple(shape)}" for array, shape in refusal["shapes"].items() if shape is not None)
        options = "".join(f", {name}={value!r}" for name, value in refusal["configuration"].items())
        lines += [f"    {refusal['why']}", f"        {shapes}{options}"]
    lines.append("known slips, beside those of its axes, of memory layouts and of the jaxpr")
    for slip in layer["slips"]:
        lines.append(f"    {slip['sentence']}" + f" (as in {slip['resembles']})" * bool(slip["resembles"]))
    if layer["equivalent"]:
        lines.append("slips that cannot be told from the truth in float32")
    lines += [f"    {sentence}: {reason}" for sentence, reason in layer["equivalent"].items()]
    if layer["documents"]:
        lines.append(f"documents: {'; '.join(layer['documents'])}")
    return "\n".join(lines)


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
