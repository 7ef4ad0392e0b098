"""A run: every layer of every target in every dtype is put on trial, and what is finished is stored as it comes."""

from __future__ import annotations

import datetime
import hashlib
import os
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
from oracle.cases import Subject
from oracle.layers import LAYERS
from oracle.results import ASPECTS, Aspect, Environment, Results, Trial
from oracle.run.executors import Offers, executor, prepare
from oracle.run.store import Store
from oracle.targets.messages import CannotLoad, Limits, Offer
from oracle.trial.trial import Outcome, Task

Progress = Callable[[Trial, int, int], None]


@dataclass(frozen=True)
class Where:
    """Where trials are done: how many workers, of which executor, and for Dask the address of a scheduler."""

    jobs: int = 1
    executor: str = "processes"
    scheduler: str | None = None


@dataclass(frozen=True)
class Options:
    """What to run, and where."""

    targets: tuple[str, ...] = ("impl",)
    layers: tuple[str, ...] = tuple(LAYERS)
    dtypes: tuple[str, ...] = ("float32", "float64")
    examples: int = 100
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    where: Where = field(default_factory=Where)
    sizes: str = "tiles"
    required: tuple[Aspect, ...] = ASPECTS

    def subjects(self) -> list[Subject]:
        """List what is put on trial, target by target."""
        return [Subject(t, layer, dtype) for t in self.targets for layer in self.layers for dtype in self.dtypes]

    def identity(self) -> dict[str, Any]:
        """Return what the outcomes follow from. Two runs that agree in it are one run."""
        return {
            "targets": list(self.targets),
            "layers": list(self.layers),
            "dtypes": list(self.dtypes),
            "examples": self.examples,
            "seed": self.seed,
            "sizes": self.sizes,
            **asdict(self.limits),
            "versions": {"backproof": __version__, "numpy": np.__version__, "jax": jax.__version__},
            "digests": {target: digest for target in self.targets if (digest := _digest(target))},
        }


def _digest(target: str) -> str | None:
    """Hash a target that is a file: when the file changes, it is another target."""
    path = Path(target.partition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.suffix == ".py" and path.is_file() else None


def run(options: Options, store: Store, progress: Progress = lambda trial, done, total: None) -> Results:
    """Do what the store does not have yet, and return the results of the whole run.

    Raises TargetError, ExecutorError and StoreError. Interrupted by Ctrl-C it returns what is finished, and says so.
    """
    started = datetime.datetime.now(datetime.UTC)
    subjects = options.subjects()
    finished = store.trials()
    interrupted = False
    offers: Offers = {}
    devices: tuple[str, ...] = ()
    try:
        where = options.where
        jobs = min(where.jobs, max(1, len(set(subjects) - set(finished))))  # no more workers than trials
        with executor(where.executor, jobs, where.scheduler) as workers:
            offers, devices = workers.call(prepare, options.targets, options.limits)
            # One layer of all targets after another: what was drawn for one target is remembered for the next.
            missing = [s for s in sorted(subjects, key=lambda s: options.layers.index(s.layer)) if s not in finished]
            untried = [trial for s in missing if (trial := _untried(s, offers[s.target])) is not None]
            left_out = {trial.subject for trial in untried}
            offered = [subject for subject in missing if subject not in left_out]
            tasks = [
                Task(s, options.examples, options.seed, options.limits, store.known(s), options.sizes) for s in offered
            ]
            before = time.perf_counter()
            for outcome in chain(map(Outcome, untried), workers.outcomes(tasks)):
                now = time.perf_counter()
                store.add(outcome, now - before)
                before = now
                finished[outcome.trial.subject] = outcome.trial
                progress(outcome.trial, len(finished), len(subjects))
        store.complete()
    except KeyboardInterrupt:
        interrupted = True
    return Results(
        backproof=__version__,
        started=started.isoformat(timespec="seconds"),
        seconds=round(store.seconds(), 3),
        seed=options.seed,
        options=options.identity() | {"jobs": options.where.jobs, "executor": options.where.executor},
        required=list(options.required),
        environment=Environment(
            python=platform.python_version(),
            numpy=np.__version__,
            jax=jax.__version__,
            platform=platform.platform(),
            devices=list(devices),
            ran_on={target: offer.ran_on for target, offer in offers.items() if isinstance(offer, Offer)},
        ),
        trials=[finished[subject] for subject in subjects if subject in finished],
        interrupted=interrupted,
        not_offered=[] if options.layers == tuple(LAYERS) else not_offered(options.layers, offers),
    )


def _untried(subject: Subject, offer: Offer | CannotLoad) -> Trial | None:
    """Return the trial of a layer that cannot be tried, or None if it can."""
    if isinstance(offer, CannotLoad):
        return Trial(**subject._asdict(), verdict="not_loaded", note=offer.message, traceback=offer.traceback or None)
    return None if subject.layer in offer.layers else Trial(**subject._asdict(), verdict="not_implemented")


def not_offered(layers: tuple[str, ...], offers: Offers) -> list[str]:
    """Say which layers no target offers, and what the user may have meant."""
    sentences = []
    for layer in layers:
        loaded = {target: offer for target, offer in offers.items() if isinstance(offer, Offer)}
        if loaded and not any(layer in offer.layers for offer in loaded.values()):
            similar = [f"{target} has {name}" for target, offer in loaded.items() if (name := offer.similar(layer))]
            hint = f"; {', '.join(similar)}: did you mean that?" if similar else ""
            sentences.append(f"{', '.join(loaded)} offers no {layer}{hint}")
    return sentences


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
