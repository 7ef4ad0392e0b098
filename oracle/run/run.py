"""A run: every layer of every target in every dtype on trial, what is finished stored as it comes."""

from __future__ import annotations

import datetime
import hashlib
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import numpy as np

from oracle import __version__
from oracle.layers import LAYERS
from oracle.results.model import Environment, Results, Trial
from oracle.run.executors.executors import executor, prepare
from oracle.run.store import Store
from oracle.targets.process import Limits
from oracle.trial.examine import Outcome, Task

Progress = Callable[[Trial, int, int], None]


@dataclass(frozen=True)
class Options:
    """What to run, and where."""

    targets: tuple[str, ...] = ("impl",)
    layers: tuple[str, ...] = tuple(LAYERS)
    dtypes: tuple[str, ...] = ("float32", "float64")
    examples: int = 100
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    jobs: int = 1
    executor: str = "processes"
    scheduler: str | None = None

    def identity(self) -> dict[str, Any]:
        """What the outcomes follow from: two runs that agree in it are one run."""
        return {
            "targets": list(self.targets),
            "layers": list(self.layers),
            "dtypes": list(self.dtypes),
            "examples": self.examples,
            "seed": self.seed,
            **asdict(self.limits),
            "versions": {"backproof": __version__, "numpy": np.__version__, "jax": jax.__version__},
            "digests": {target: digest for target in self.targets if (digest := _digest(target))},
        }


def _not_offered(key: tuple[str, str, str]) -> Outcome:
    target, layer, dtype = key
    return Outcome(Trial(target=target, layer=layer, dtype=dtype, verdict="not_implemented"))


def _digest(target: str) -> str | None:
    """Of a target that is a file: mended, it is another."""
    path = Path(target.partition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.suffix == ".py" and path.is_file() else None


def run(options: Options, store: Store, progress: Progress = lambda trial, done, total: None) -> Results:
    """Do what the store does not have yet, and give the results of the whole.

    Raises TargetError, ExecutorError and StoreError. Interrupted by Ctrl-C it gives what is finished, and says so.
    """
    started = datetime.datetime.now(datetime.UTC)
    keys = [
        (target, layer, dtype) for target in options.targets for layer in options.layers for dtype in options.dtypes
    ]
    finished = store.trials()
    interrupted, devices, offers = False, (), {}
    try:
        with executor(options.executor, options.jobs, options.scheduler) as workers:
            offers, devices = workers.call(prepare, options.targets, options.limits)
            # One layer of several targets after another: what is drawn for one is remembered for the next.
            order = sorted(keys, key=lambda key: options.layers.index(key[1]))
            missing = [key for key in order if key not in finished]
            offered = [key for key in missing if key[1] in offers[key[0]].layers]
            tasks = [Task(*key, options.examples, options.seed, options.limits, store.known(key)) for key in offered]
            before = time.perf_counter()
            for outcome in chain(map(_not_offered, set(missing) - set(offered)), workers.outcomes(tasks)):
                now = time.perf_counter()
                store.add(outcome, now - before)
                before, trial = now, outcome.trial
                finished[trial.target, trial.layer, trial.dtype] = trial
                progress(trial, len(finished), len(keys))
        store.complete()
    except KeyboardInterrupt:
        interrupted = True
    return Results(
        backproof=__version__,
        started=started.isoformat(timespec="seconds"),
        seconds=round(store.seconds(), 3),
        seed=options.seed,
        options=options.identity() | {"jobs": options.jobs, "executor": options.executor},
        environment=Environment(
            python=platform.python_version(),
            numpy=np.__version__,
            jax=jax.__version__,
            platform=platform.platform(),
            devices=list(devices),
            ran_on={target: offer.ran_on for target, offer in offers.items()},
        ),
        trials=[finished[key] for key in keys if key in finished],
        interrupted=interrupted,
    )
