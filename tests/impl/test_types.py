"""What a type checker and an editor know of the rules: mypy accepts every right call and refuses every wrong one."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from impl import Rule
from impl import functional as F

ROOT = Path(__file__).parents[2]
RULES = [name for name in F.__all__ if isinstance(getattr(F, name), Rule)]

BEGINNING = """\
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from impl import Rule, rule
from impl import functional as F
from impl.array import Array

x, w, b, labels = np.ones((2, 2, 4, 4)), np.ones((3, 2, 3, 3), np.float32), np.ones(3), np.zeros(2, int)
on_device: jax.Array = jnp.ones(3)


@rule
def scaled(x: Array, y: Array | None = None, /, *, factor: float = 2.0) -> tuple[Array, Any]:
    return x * factor, ()


@scaled.pullback
def _(residuals: Any, dy: Array, *, factor: float) -> Any:
    return dy * factor, None


@rule(no_gradient=("mask",))
def masked(x: Array, mask: Array) -> tuple[Array, Any]:
    return x * mask, (mask,)


"""

RIGHT = """\
F.conv2d(x, w)
F.conv2d(x, w, b, stride=2, padding=(1, 2), dilation=[1, 1], groups=1)
F.conv2d(x, w, None, padding=[(0, 1), (1, 0)])
F.conv2d(x, w, padding="same")
y, pullback = F.conv2d.vjp(x, w, b, stride=2)
dx, dw, db = pullback(y)
pullback(y, wanted=["w"])
pullback(1.0, {"w", "b"})
F.relu(on_device)
F.relu(jnp.zeros(3))
F.relu(F.relu(x) + 1)
value, kept = F.affine.forward(x, w)
F.affine.backward(kept, value)
F.max_pool3d(x, kernel_size=2, stride=None, ceil_mode=True)
F.adaptive_avg_pool(x, output_size=(1, 2))
F.cross_entropy(x, labels, None, reduction="none", ignore_index=-1, label_smoothing=0)
F.mse_loss(x, x, reduction="sum")
F.gelu(x, approximate="tanh")
F.pad(x, padding=1, mode="reflect")
F.group_norm(x, groups=2, eps=1e-6)
(z, mean, var), back = F.batch_norm.vjp(x, b, b, None, None, training=True, momentum=0.2)
F.residual_block(x, w, w, b, b, None, None, w, stride=(2, 2), training=False)
F.bottleneck_block(x, w, w, w, b, eps=0.0)
scaled(x, factor=3)
scaled.vjp(x, x)
masked(x, mask=x)


def use(layer: Rule, typed: Rule[[Array]], arrays: Sequence[np.ndarray]) -> Any:
    return layer(*arrays), layer.vjp(x, stride=2), typed(x)


use(F.conv2d, F.flatten, [x, w])
"""

WRONG = """\
F.conv2d(x, w, b, strides=2)  # an unknown option
F.conv2d.vjp(x, w, b, strides=2)  # the same for the other ways to call it
F.conv2d.forward(x, w, b, strides=2)
F.conv2d(x, w, stride="2")  # an option of another type
F.conv2d(x, w, stride=1.5)
F.conv2d(x, w, padding=(0.5, 1))
F.conv2d(x, w, groups=(1, 1))
F.conv2d.vjp(x, w, dilation=None)
F.conv_transpose1d(x, w, output_padding="same")
F.max_pool2d(x, kernel_size=2, ceil_mode="yes")
F.batch_norm(x, training="no")
F.dropout(x, x, p="half")
F.conv2d([[1.0]], w)  # what is not an array
F.conv2d(x, "w")
F.conv2d.vjp(x, w, [1.0])
F.relu(1.0)
F.relu.vjp((1.0, 2.0))
F.relu(None)
F.residual_block(x, w, w, [1.0])
F.conv2d(x)  # an array or a required option is missing
F.residual_block(x, w)
F.bottleneck_block.vjp(x, w, w)
F.cross_entropy.vjp(x)
F.max_pool2d(x)
F.group_norm.vjp(x)
F.relu(x, x)  # an array too many
F.conv2d(x, w, padding="full")  # a word that is not one of those allowed
F.cross_entropy(x, labels, reduction="avg")
F.binary_cross_entropy(x, x, reduction=None)
F.gelu.vjp(x, approximate="erf")
F.pad(x, padding=1, mode="mirror")
F.pad(x, padding="same")
F.conv2d(x, w, b, 2)  # an option by position
F.softmax(x, 1)
F.avg_pool2d.vjp(x, 2)
F.conv2d(x, w, b=b)  # an array by name
F.relu.vjp(x)[1]("dy")  # the pullback
F.relu.vjp(x)[1](x, wanted=3)
scaled(x, factor="3")  # rules of a user
scaled([1.0])
scaled(x, times=3)
masked(x)
"""


def errors(source, config, directory):
    """The lines of a file in which mypy finds an error, with what it says."""
    (directory / "calls.py").write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"]
    command += ["--no-pretty", "--config-file", str(config), "--cache-dir", str(directory / "cache"), "calls.py"]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    result = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    found = re.findall(r"^calls\.py:(\d+): error: (.*)$", result.stdout, re.MULTILINE)
    return {source.splitlines()[int(line) - 1]: message for line, message in found}


def test_mypy_refuses_what_is_wrong_and_nothing_else(tmp_path):
    """Also if mypy is told not to read JAX's types, and ``jax.Array`` is Any."""
    pytest.importorskip("mypy", reason="not run: mypy is not installed")
    config, wrong = tmp_path / "mypy.ini", WRONG.splitlines()
    only_if_jax_is_read = "jax.there_is_no_such_name"
    for skipped in ("", "[mypy-jax.*]\nfollow_imports = skip\nignore_missing_imports = true\n"):
        config.write_text("[mypy]\n" + skipped)
        found = errors(BEGINNING + RIGHT + WRONG + only_if_jax_is_read, config, tmp_path)
        assert (found.pop(only_if_jax_is_read, None) is None) == bool(skipped)
        assert {line: message for line, message in found.items() if line not in wrong} == {}
        assert [line for line in wrong if line not in found] == []


@pytest.mark.parametrize("name", RULES)
def test_an_editor_sees_the_arrays_and_options(name):
    rule = getattr(F, name)
    parameters = inspect.signature(rule).parameters.values()
    arrays = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
    options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert len(arrays) + len(options) == len(parameters)
    assert tuple(p.name for p in arrays) == rule.arrays
    assert [p.annotation for p in arrays] == ["Array | None" if p.name in rule.optional else "Array" for p in arrays]
    assert {p.name: p.default for p in options if p.default is not p.empty} == rule.configuration
    assert all(p.annotation not in (p.empty, "Any") for p in options)


def test_the_arrays_of_the_residual_blocks():
    """Names and order are a promise: arrays are passed by position."""
    assert F.residual_block.arrays == (
        "x", "w1", "w2", "gamma1", "beta1", "gamma2", "beta2", "w_shortcut", "gamma_shortcut", "beta_shortcut",
        "running_mean1", "running_var1", "running_mean2", "running_var2", "running_mean_shortcut", "running_var_shortcut",
    )  # fmt: skip
    assert F.bottleneck_block.arrays == (
        "x", "w1", "w2", "w3", "gamma1", "beta1", "gamma2", "beta2", "gamma3", "beta3",
        "w_shortcut", "gamma_shortcut", "beta_shortcut", "running_mean1", "running_var1", "running_mean2", "running_var2",
        "running_mean3", "running_var3", "running_mean_shortcut", "running_var_shortcut",
    )  # fmt: skip
    for block, kernels in ((F.residual_block, 2), (F.bottleneck_block, 3)):
        assert block.optional == block.arrays[1 + kernels :]
        assert block.no_gradient == tuple(name for name in block.arrays if name.startswith("running"))
        assert block.configuration == {"stride": 1, "training": True, "momentum": 0.1, "eps": 1e-5}
