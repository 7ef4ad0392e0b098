"""A discrepancy as a Python script that shows it in a fresh interpreter, and arrays as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from oracle.cases.case import Case
from oracle.judge.judge import Finding
from oracle.layers import LAYERS
from oracle.results.model import Array
from oracle.targets.answers import Arrays


def as_array(x: np.ndarray | None) -> Array | None:
    """An array for the results: nested lists, with NaN and infinity as strings."""
    if x is None:
        return None
    wide = x if x.dtype.kind in "iub" else np.asarray(x, np.float64)
    return Array(dtype=x.dtype.name, shape=list(x.shape), data=_plain(wide.tolist()))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def script(target: str, case: Case, arrays: Arrays, dy: np.ndarray | None, finding: Finding) -> str:
    """The source: the arrays, the call, and what is expected beside what comes."""
    if target.partition(":")[0].endswith(".py"):
        where, colon, attribute = target.partition(":")
        target = f"{Path(where).resolve()}{colon}{attribute}"
    names = LAYERS[case.layer].arrays
    lines = [
        f'"""{case.layer} of {target}, {case.dtype}: {finding.message}"""',
        "import jax",
        "import numpy as np",
        "from numpy import inf, nan",
        "",
        "from oracle.cases.case import laid_out, numpy_dtype",
        "from oracle.targets.find import resolve",
        "",
        f'jax.config.update("jax_enable_x64", {case.dtype == "float64"})',
    ]
    lines += [f"{name} = {_literal(x)}" for name, x in zip(names, arrays, strict=True)]
    lines.append(f"layer = resolve({target!r}).layer({case.layer!r})")
    options = "".join(f", {key}={value!r}" for key, value in case.configuration.items())
    if finding.check == "refusal" or dy is None:
        lines += [
            "try:",
            f"    value, _ = layer({', '.join(names)}{options})",
            '    print("accepted; must be refused:", value)',
            "except Exception as error:",
            '    print("refused:", type(error).__name__, error)',
        ]
        return "\n".join(lines) + "\n"
    if case.memory != "contiguous":
        given = [name for name, x in zip(names, arrays, strict=True) if x is not None]
        lines.append(f"{', '.join(given)}, = (laid_out(a, {case.memory!r}) for a in ({', '.join(given)},))")
    lines += [
        f"dy = {_literal(dy)}",
        f"value, pullback = layer({', '.join(names)}{options})",
        "values = [v for v in value if v is not None] if isinstance(value, tuple) else [value]",
    ]
    if isinstance(finding.expected, np.ndarray) and finding.check in ("value", "gradient", "subgradient"):
        if finding.output.startswith("d") and finding.output[1:] in names:
            place = names.index(finding.output[1:])
            lines += [
                "cotangents = pullback(dy)",
                "cotangents = cotangents if isinstance(cotangents, (tuple, list)) else (cotangents,)",
                f"got = np.asarray(cotangents[{place}])",
            ]
        else:
            lines.append(f"got = np.asarray(values[{LAYERS[case.layer].outputs.index(finding.output)}])")
        expected = np.asarray(finding.expected, np.float64)
        lines += [
            f"expected = np.array({_text(expected)}).reshape({expected.shape})",
            f'print("{finding.output}: expected"); print(expected); print("got"); print(got)',
        ]
    else:
        lines += [
            "first, second, scaled = pullback(dy), pullback(dy), pullback((-2 * dy).astype(dy.dtype))",
            'print("value:", *values)',
            'print("pullback(dy):", first, "again:", second, "pullback(-2 dy):", scaled, sep="\\n")',
            f"print({'arrays afterwards: '!r}, {', '.join(names)}, dy)",
        ]
    return "\n".join(lines) + "\n"


def _literal(x: np.ndarray | None) -> str:
    if x is None:
        return "None"
    dtype = f'"{x.dtype.name}"' if x.dtype.name != "bfloat16" else 'numpy_dtype("bfloat16")'
    return f"np.array({_text(x)}, dtype={dtype}).reshape({x.shape})"


def _text(x: np.ndarray) -> str:
    wide = x if x.dtype.kind in "iub" else np.asarray(x, np.float64)
    return repr(wide.tolist())
