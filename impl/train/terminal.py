"""What a run does with the terminal: Ctrl-C and the progress bar."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let the current step end when Ctrl-C is pressed, and yield the function that says whether it was.

    A second Ctrl-C stops at once. Outside of the main thread, Python does not allow this, and nothing is changed.
    """
    asked: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def bar(shown: bool, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error, if it is a terminal, and yield the function that moves it by one step.

    The bar counts steps: ``total`` of them, of which ``done`` are done already.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as shown_bar:
        task = shown_bar.add_task("training", total=total, completed=done)
        yield lambda epoch: shown_bar.update(task, advance=1, description=f"epoch {epoch + 1}")
