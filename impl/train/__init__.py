"""Training: a step as a pure function, the loop around it, and the command ``python -m impl.train``.

    from impl.train import fit

    history = fit(convnet((1, 8, 8)), digits(), optimiser=Adam(), epochs=10, engine="jax")

The same code runs on two engines. ``numpy`` runs it step by step. ``jax`` jits the whole step (forward, hand-derived
backward, optimiser), reuses the buffers of the arrays that go in, and can share each batch among several devices.

``step`` holds the training step, ``engine`` says where it runs, ``loop`` has ``fit`` and its ``Recipe``, ``command`` the
command line. What a run is between two steps, and how it is stored, stands in ``impl.checkpoint``.
"""

from impl.checkpoint import Checkpoint, History, TrainingError
from impl.train.engine import ENGINES, Engine
from impl.train.loop import Recipe, evaluate, fit
from impl.train.step import loss_and_gradients, make_step

__all__ = [
    "ENGINES",
    "Checkpoint",
    "Engine",
    "History",
    "Recipe",
    "TrainingError",
    "evaluate",
    "fit",
    "loss_and_gradients",
    "make_step",
]
