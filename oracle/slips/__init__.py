"""Slips: known ways to get a layer wrong. A family is a function that yields its slips, one file per family."""

from __future__ import annotations

from collections.abc import Iterator

from oracle.slips.conv import kernel_slips, option_slips
from oracle.slips.general import general_slips
from oracle.slips.norm import statistics_slips
from oracle.slips.pool import maximum_slips
from oracle.slips.slip import Circumstances, Family, Slip

# The families of a layer are those whose word its name starts with, in this order; the general ones come last.
FAMILIES: tuple[tuple[str, Family], ...] = (
    ("conv", kernel_slips),
    ("conv", option_slips),
    ("max_pool", maximum_slips),
    ("global_max_pool", maximum_slips),
    ("batch_norm", statistics_slips),
    ("layer_norm", statistics_slips),
    ("group_norm", statistics_slips),
    ("instance_norm", statistics_slips),
    ("", general_slips),
)


def slips_at(circumstances: Circumstances) -> Iterator[Slip]:
    """Yield every known slip of the layer, each with what an implementation with it would return here."""
    for name, family in FAMILIES:
        if circumstances.case.layer.startswith(name):
            yield from family(circumstances)


__all__ = ["FAMILIES", "Circumstances", "Family", "Slip", "slips_at"]
