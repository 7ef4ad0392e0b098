"""The examples in the docstrings, module by module; a module whose optional package is not installed skips."""

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


def importable(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs {NEEDS[name]}, which is not installed")
    return importlib.import_module(name)


@pytest.mark.parametrize("name", sorted(set(modules())))
def test_examples(name):
    failed, _ = doctest.testmod(importable(name))
    assert failed == 0, "the examples that fail are printed above"


def test_a_module_without_its_package_skips_and_a_broken_example_fails(monkeypatch):
    monkeypatch.setitem(NEEDS, "impl", "no_such_package")
    with pytest.raises(pytest.skip.Exception, match="no_such_package"):
        importable("impl")
    broken = type(doctest)("broken", ">>> 1 + 1\n3\n")
    assert doctest.testmod(broken, report=False).failed == 1
