"""The examples in the docstrings, module by module. A module whose optional package is not installed skips."""

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("impl", "oracle", "reference", "reports")
NEEDS = {"oracle.targets.builtin.torch_layers": "torch"}


def modules():
    for package in PACKAGES:
        yield package
        path = importlib.import_module(package).__path__
        yield from (found.name for found in pkgutil.walk_packages(path, f"{package}."))


def parameters():
    for name in sorted(set(modules())):
        yield pytest.param(name, marks=pytest.mark.framework(NEEDS[name])) if name in NEEDS else name


@pytest.mark.parametrize("name", list(parameters()))
def test_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0, "the examples that fail are printed above"


def test_a_broken_example_fails():
    broken = type(doctest)("broken", ">>> 1 + 1\n3\n")
    assert doctest.testmod(broken, report=False).failed == 1
