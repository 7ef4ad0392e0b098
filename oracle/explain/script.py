"""A discrepancy as a Python script that shows it in a fresh interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oracle.cases import Arrays, Case, Memory
from oracle.judge import Finding
from oracle.layers import LAYERS


def script(target: str, case: Case, arrays: Arrays, dy: np.ndarray | None, finding: Finding) -> str:
    """Write the source: the arrays, the call, and what is expected beside what comes. Without dy: a call to refuse."""
    if target.partition(":")[0].endswith(".py"):
        where, colon, attribute = target.partition(":")
        target = f"{Path(where).resolve()}{colon}{attribute}"
    names = LAYERS[case.layer].arrays
    lines = [
        f'"""{case.layer} of {target}, {case.dtype}: {finding.message}"""',
        "import numpy as np",
        "from numpy import inf, nan",
        "",
        "from oracle.cases import Memory, numpy_dtype",
        "from oracle.targets.find import resolve",
        "",
    ]
    lines += [f"{name} = {_literal(x)}" for name, x in zip(names, arrays, strict=True)]
    lines.append(f"layer = resolve({target!r}).layer({case.layer!r})")
    options = "".join(f", {key}={value!r}" for key, value in case.configuration.items())
    call = f"layer({', '.join(names)}{options})"
    if dy is None:
        lines += [
            "try:",
            f"    value, _ = {call}",
            '    print("accepted; must be refused:", value)',
            "except Exception as error:",
            '    print("refused:", type(error).__name__, error)',
        ]
        return "\n".join(lines) + "\n"
    lines.append(f"dy = {_literal(dy)}")
    odd = {name: memory for name, memory in case.memory_by_name.items() if memory is not Memory.CONTIGUOUS}
    lines += [f"{name} = Memory({memory.value!r}).lay_out({name})" for name, memory in odd.items()]
    lines += [
        f"value, pullback = {call}",
        "values = [v for v in value if v is not None] if isinstance(value, tuple) else [value]",
    ]
    lines += _comparison(case, finding, names)
    return "\n".join(lines) + "\n"


def _comparison(case: Case, finding: Finding, names: tuple[str, ...]) -> list[str]:
    """Print what is expected beside what comes, or everything that the calls return."""
    if not isinstance(finding.expected, np.ndarray) or finding.check not in ("value", "gradient", "subgradient"):
        return [
            "first, second, scaled = pullback(dy), pullback(dy), pullback((-2 * dy).astype(dy.dtype))",
            'print("value:", *values)',
            'print("pullback(dy):", first, "again:", second, "pullback(-2 dy):", scaled, sep="\\n")',
            f"print({'arrays afterwards: '!r}, {', '.join(names)}, dy)",
        ]
    if finding.output.startswith("d") and finding.output[1:] in names:
        lines = [
            "cotangents = pullback(dy)",
            "cotangents = cotangents if isinstance(cotangents, (tuple, list)) else (cotangents,)",
            f"got = np.asarray(cotangents[{names.index(finding.output[1:])}])",
        ]
    else:
        lines = [f"got = np.asarray(values[{LAYERS[case.layer].outputs.index(finding.output)}])"]
    expected = np.asarray(finding.expected, np.float64)
    return [
        *lines,
        f"expected = np.array({_text(expected)}).reshape({expected.shape})",
        f'print("{finding.output}: expected"); print(expected); print("got"); print(got)',
    ]


def _literal(x: np.ndarray | None) -> str:
    if x is None:
        return "None"
    name = "str" if x.dtype.kind == "U" else x.dtype.name
    dtype = f'"{name}"' if name != "bfloat16" else 'numpy_dtype("bfloat16")'
    return f"np.array({_text(x)}, dtype={dtype}).reshape({x.shape})"


def _text(x: np.ndarray) -> str:
    wide = x if x.dtype.kind in "iubcU" else np.asarray(x, np.float64)
    return repr(wide.tolist())
