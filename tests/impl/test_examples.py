"""Every rule of impl.functional shows its value and its pullback in its docstring, and the examples are right.

``doctest`` does not look for examples in objects, so ``doctest.testmod`` finds none of these.
"""

import doctest
import importlib
import re

import numpy as np
import pytest

from impl import functional as F
from impl.rule import Rule

RULES = [name for name in F.__all__ if isinstance(getattr(F, name), Rule)]


def example_of(name, text):
    names = {"np": np, "F": F}  # as the docstring of impl.functional says
    return doctest.DocTestParser().get_doctest(text, names, f"F.{name}", None, 0)


def lacks(name, test):
    """Say what the examples of a rule do not show."""
    shown = [example.source for example in test.examples if example.want]
    called = " ".join(example.source for example in test.examples)
    without_pullbacks = [re.sub(r"pullback\(.*", "", source) for source in shown]
    missing = []
    if not re.search(rf"F\.{name}(\.vjp)?\(", called):
        missing.append("a call of the rule")
    if not any(re.search(rf"\b(y|loss)\b|F\.{name}\(", source) for source in without_pullbacks):
        missing.append("its value")
    gradients = re.findall(r"^(.*) = pullback\(", "\n".join(e.source for e in test.examples), re.MULTILINE)
    names = {variable for line in gradients for variable in re.findall(r"\w+", line)} - {"_"}
    if f"F.{name}.vjp(" not in called or not any(
        "pullback(" in source or names & set(re.findall(r"\w+", source)) for source in shown
    ):
        missing.append("its pullback")
    return missing


def failures(test):
    output = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=output.append)
    return runner.failures, "".join(output)


@pytest.mark.parametrize("name", RULES)
def test_the_examples_of_a_rule(name):
    test = example_of(name, getattr(F, name).__doc__)
    assert lacks(name, test) == []
    failed, output = failures(test)
    assert failed == 0, output


def test_a_wrong_or_missing_example_is_found():
    value_only = ">>> F.relu(np.ones(1))\narray([1.])\n"
    assert lacks("relu", example_of("relu", "no example")) == ["a call of the rule", "its value", "its pullback"]
    assert lacks("relu", example_of("relu", value_only)) == ["its pullback"]
    hidden = ">>> y, pullback = F.relu.vjp(np.ones(1))\n>>> _ = pullback(y)\n>>> y\narray([1.])\n"
    assert lacks("relu", example_of("relu", hidden)) == ["its pullback"]
    assert lacks("relu", example_of("relu", hidden.replace("y\narray", "pullback(y)\narray"))) == ["its value"]
    assert failures(example_of("relu", value_only.replace("1.]", "2.]")))[0] == 1


def test_doctest_itself_finds_none_of_them():
    for module in {getattr(F, name).__module__ for name in RULES}:
        found = doctest.DocTestFinder().find(importlib.import_module(module))
        assert not [test.name for test in found if test.name.split(".")[-1] in RULES and test.examples]
