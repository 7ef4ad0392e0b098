"""Modules: layers with parameters and state, composed into networks.

A module only describes a computation. Its arrays live outside of it, in nested dicts, so that the same code runs step by
step on NumPy and, with the whole training step jitted, on JAX:

>>> import numpy as np
>>> from impl import nn
>>> net = nn.Sequential(conv=nn.Conv2d(1, 8, 3, padding=1), relu=nn.ReLU(), flatten=nn.Flatten(), out=nn.Linear(128, 10))
>>> parameters, state = net.init(seed=0)
>>> x = np.ones((5, 1, 4, 4), np.float32)
>>> y, state, pullback = net.vjp(parameters, state, x, training=True)
>>> dx, gradients = pullback(np.ones_like(y))
>>> dx.shape, gradients["out"]["w"].shape  # the gradients have the structure of the parameters
((5, 1, 4, 4), (10, 128))
>>> nothing, gradients = pullback(np.ones_like(y), False)  # training needs no gradient with respect to x
>>> nothing is None, sorted(gradients)
(True, ['conv', 'out'])
>>> net(parameters, state, x).shape  # evaluation
(5, 10)

``module`` says what a module is, ``initialise`` how weights begin, ``layer`` holds the layers, ``network`` composes them,
``watch`` names layers in errors and shows their values, ``storage`` writes parameters to files and reads them.
"""

from impl.nn.initialise import initial
from impl.nn.layer import (
    Affine,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Tanh,
)
from impl.nn.module import Module, Pullback, Seed
from impl.nn.network import Residual, Sequential
from impl.nn.storage import StorageError, load, save
from impl.nn.watch import Observer, observed

__all__ = [
    "Affine",
    "AvgPool2d",
    "BatchNorm",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Layer",
    "Linear",
    "MaxPool2d",
    "Module",
    "Observer",
    "Pullback",
    "ReLU",
    "Residual",
    "Seed",
    "Sequential",
    "Sigmoid",
    "StorageError",
    "Tanh",
    "initial",
    "load",
    "observed",
    "save",
]
