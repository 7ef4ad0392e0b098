"""Right layers, each written in several ways in plain NumPy. No verdict on them may be ``wrong``."""

from tests.oracle.variants import activation, conv, linear, loss, norm, pool  # noqa: F401 (each fills the list)
from tests.oracle.variants.variant import VARIANTS, Variant

__all__ = ["VARIANTS", "Variant"]
