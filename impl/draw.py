"""Pictures of training, drawn with matplotlib: curves over the epochs, and matrices as heatmaps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from impl.checkpoint import History, TrainingError


def draw_curve(history: History, path: Path) -> None:
    """Draw loss and accuracy over the epochs. The end of the file's name (.png, .svg) says in which format.

    Raises TrainingError if matplotlib is not installed or the file cannot be written.
    """
    with _figure(path, 2, (10, 4)) as (_, columns):
        epochs = [record["epoch"] for record in history.epochs]
        for axes, what in zip(columns, ("loss", "accuracy"), strict=True):
            for prefix, label in (("", "training"), ("validation_", "test")):
                if history.epochs and prefix + what in history.epochs[0]:
                    axes.plot(epochs, [record[prefix + what] for record in history.epochs], label=label)
            axes.set(xlabel="epoch", ylabel=what)
            axes.legend()


def draw_heatmaps(matrices: dict[str, np.ndarray], path: Path) -> None:
    """Draw matrices side by side as heatmaps, with one column per epoch and one row per number.

    Document 003 draws outputs and weights in this way. The keys are the titles, and each matrix has shape
    (numbers, epochs). Raises TrainingError if matplotlib is not installed or the file cannot be written.
    """
    with _figure(path, len(matrices), (4 * len(matrices), 4)) as (figure, columns):
        for axes, (title, matrix) in zip(columns, matrices.items(), strict=True):
            picture = axes.imshow(np.asarray(matrix), interpolation="nearest", aspect="auto", cmap="Reds")
            axes.set(title=title, xlabel="epochs")
            figure.colorbar(picture, ax=axes)


@contextmanager
def _figure(path: Path, columns: int, size: tuple[float, float]) -> Iterator[Any]:
    """Make a figure with a number of columns, of a size in inches, and save it at the end."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise TrainingError("pictures need matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=size, layout="constrained", squeeze=False)
    try:
        yield figure, axes[0]
        figure.savefig(path)
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error.strerror}") from None
    except ValueError as error:
        raise TrainingError(f"{path}: {error}") from None
    finally:
        pyplot.close(figure)
