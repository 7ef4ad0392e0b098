"""Backproof's framework: neural-network layers whose gradients are derived by hand.

>>> import numpy as np
>>> from impl import functional as F
>>> y, pullback = F.relu.vjp(np.array([-1.0, 2.0]))
>>> y, pullback(np.array([10.0, 10.0]))
(array([0., 2.]), (array([ 0., 10.]),))
"""

from impl import functional
from impl.rule import Rule, rule

__all__ = ["Rule", "functional", "rule"]
