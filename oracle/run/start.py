"""Start a run from Python."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from oracle.cases import DTYPES, SIZES
from oracle.layers import LAYERS
from oracle.results import ASPECTS, Results, aspects_named
from oracle.run.run import Options, Where, cores
from oracle.run.run import run as run_trials
from oracle.run.store import Store
from oracle.targets.messages import Limits


def run(
    *targets: str,
    layers: Iterable[str] = (),
    dtypes: Sequence[str] = ("float32", "float64"),
    examples: int = 100,
    seed: int = 0,
    jobs: int = 0,
    timeout: float = 60.0,
    memory: int = 4096,
    device: str | None = None,
    sizes: str = "tiles",
    require: Iterable[str] = ASPECTS,
    out: str | Path | None = None,
) -> Results:
    """Put targets on trial and return the results, like the command ``backproof run``.

    A target is a name (``impl``, ``torch``, ``package.module:attribute``, ``mine.py``). Without one it is ``impl``.
    ``layers`` limits the layers. ``examples`` is the number of cases per layer and dtype. ``jobs`` is the number of worker
    processes (0: one per core). ``timeout`` is in seconds per case, ``memory`` in MiB. ``sizes`` is small, tiles or large:
    how long an axis may be. ``require`` limits the aspects that count: ``results.proven`` says whether all of them are
    proven. ``out`` is a directory in which finished trials are stored as they come. Without it they are kept in a
    temporary directory.

    The workers are new processes that import the calling script. In a script, call it under
    ``if __name__ == "__main__":``.

    Raises ValueError for a layer, dtype, word or number that does not exist or is too small,
    ``oracle.targets.find.TargetError`` for a target that cannot be loaded.
    """
    known: list[tuple[str, Iterable[str], Iterable[str]]] = [
        ("layer", layers := tuple(layers), LAYERS),
        ("dtype", dtypes, DTYPES),
        ("kind of sizes", [sizes], SIZES),
    ]
    for what, chosen, there in known:
        for name in chosen:
            if name not in there:
                raise ValueError(f"there is no {what} {name!r}; there are {', '.join(there)}")
    if examples < 1 or jobs < 0 or not timeout > 0:
        raise ValueError(
            f"examples must be at least 1, jobs at least 0 and timeout more than 0; got {examples}, {jobs}, {timeout:g}"
        )
    required = aspects_named(",".join(require))
    options = Options(
        tuple(dict.fromkeys(targets)) or ("impl",),
        tuple(layers) or tuple(LAYERS),
        tuple(dtypes),
        examples,
        seed,
        Limits(timeout, memory, device),
        Where(jobs or cores()),
        sizes,
        required,
    )
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary if out is None else out)
        directory.mkdir(parents=True, exist_ok=True)
        store = Store(directory, options.identity(), resume=False)
        try:
            return run_trials(options, store)
        finally:
            store.close()
