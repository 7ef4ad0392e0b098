"""Slips: known ways to get a layer wrong. The catalogue has a file per family; the general ones fit every layer."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from oracle.layers import LAYERS
from oracle.slips import (  # noqa: F401 (importing a family puts its slips into the catalogue)
    activation,
    backward,
    block,
    conv,
    dropout,
    linear,
    loss,
    maximum,
    mean,
    norm,
    norm_backward,
    pair_loss,
    pool,
    precision,
    running,
    shape,
    softmax,
)
from oracle.slips.blocks import block_slips
from oracle.slips.general import general_slips
from oracle.slips.layout import layout_slips
from oracle.slips.mutations import mutations_of
from oracle.slips.slip import CATALOGUE, Answers, Circumstances, Slip


@functools.cache
def slips_of(name: str) -> tuple[Slip, ...]:
    """Return every slip that a layer can have: those of the catalogue, then the general ones."""
    layer = LAYERS[name]
    return (*(entry.slip for entry in CATALOGUE if entry.applies_to(layer)), *general_slips(layer))


def slips_at(at: Circumstances) -> Iterator[Slip]:
    """Yield every slip that this case may show: those of the layer, and those that are derived from the case itself."""
    yield from slips_of(at.case.layer)
    yield from block_slips(at)
    yield from layout_slips(at)
    yield from mutations_of(at)


__all__ = ["CATALOGUE", "Answers", "Circumstances", "Slip", "mutations_of", "slips_at", "slips_of"]
