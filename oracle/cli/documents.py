"""``backproof documents``: judge every claim of the source documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from oracle.cli.shared import Refused, console, writable
from oracle.siblings import import_sibling


def documents(
    out: Annotated[Path, typer.Option("--out", help="Where index.html, the errata page, is written.")] = Path(
        "backproof-errata"
    ),
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the claims here.")] = None,
) -> None:
    """Judge every claim of the source documents; write the errata page."""
    from oracle.documents.judge import judge_documents

    html = import_sibling("reports.html")
    writable(out)
    if json_file is not None:
        writable(json_file.parent)
    errata = judge_documents()
    try:
        if json_file is not None:
            json_file.write_text(errata.to_json(), encoding="utf-8")
        page = html.write(html.render_errata(errata), out)
    except OSError as error:
        raise Refused(f"{error.filename} cannot be written: {error.strerror}") from None
    table = Table("document", "claims", "hold", "fail", "not checkable", box=None)
    for document in errata.documents:
        counts = [document.count("holds"), document.count("fails"), document.count("not_checkable")]
        table.add_row(document.title, *map(str, [sum(counts), *counts]))
    console().print(table)
    typer.echo(f"\n{page}")
