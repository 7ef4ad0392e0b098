"""Import the packages that are installed beside this one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

HOME = str(Path(__file__).resolve().parents[1])


def import_sibling(module: str) -> Any:
    """Import a module of ``impl``, ``reference`` or ``reports`` from where ``oracle`` is installed.

    A project may have a folder of the same name in the directory that it runs from. That folder is found first by an
    ordinary import, so the place of our own packages is put in front of the path for the time of the import.
    """
    sys.path.insert(0, HOME)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(HOME)
