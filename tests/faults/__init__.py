"""Faults planted in impl, one file per family of layers: the oracle must find each of them."""

from tests.faults import activation, block, conv, dropout, linear, loss, norm, pool, shape, tiles  # noqa: F401
from tests.faults.planted import FAULTS, Fault, planted, sound

__all__ = ["FAULTS", "Fault", "planted", "sound"]
