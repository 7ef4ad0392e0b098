"""Backproof's framework: neural-network layers whose gradients are derived by hand.

>>> import numpy as np
>>> from impl import functional as F
>>> y, pullback = F.relu.vjp(np.array([-1.0, 2.0]))
>>> y, pullback(np.array([10.0, 10.0]))
(array([0., 2.]), (array([ 0., 10.]),))

``impl.functional`` holds the rules, ``impl.nn`` modules, ``impl.graph`` computation graphs, ``impl.optim`` optimisers,
``impl.models`` the documents' networks, and ``impl.data`` and ``impl.train`` the rest of training.
"""

from impl import functional
from impl.rule import Rule, rule

from impl import nn, optim, graph, models  # isort: skip  # these are made of the rules

__all__ = ["Rule", "functional", "graph", "models", "nn", "optim", "rule"]
