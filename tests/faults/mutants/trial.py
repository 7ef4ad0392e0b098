"""Put mutants on trial, each in a process that may die."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType

from pebble import ProcessExpired, ProcessPool

from oracle.cases import Case
from oracle.judge import judge_refusals
from oracle.run.run import Options
from oracle.targets.answer import Answer, Lost
from oracle.targets.ask import Asked, InProcess
from oracle.targets.question import Question
from oracle.trial.search import Search
from oracle.trial.strength import Strength
from tests.faults.mutants.load import mutated
from tests.faults.mutants.mutator import Mutant
from tests.faults.mutants.reach import executing, layers_of

DEFAULTS = Options()
SECONDS_OF_A_QUESTION = 10  # of the processor
SECONDS_OF_A_MUTANT = 900
MEMORY = 6 * 2**30
NOT_REFUSED = "error refusal y"


@dataclass(frozen=True)
class Outcome:
    """How a mutant was found: in which layer and dtype, what was seen, and after how many judged cases.

    ``seen`` is None if it survived. ``case`` has the failing case, in words.
    """

    key: str
    layers: tuple[str, ...]
    seen: str | None = None
    layer: str = ""
    dtype: str = ""
    judged: int = 0
    case: str = ""


def try_mutant(mutant: Mutant, layers: Iterable[str], others: Iterable[str] = ()) -> Outcome:
    """Put the layers on trial that a mutant may change, until something is found. The others only get their bad calls."""
    layers = tuple(layers)
    with ExitStack() as stack:
        try:
            functional = stack.enter_context(mutated(mutant))
        except Exception as error:  # impl with the mutant in it cannot be imported
            return Outcome(mutant.key, layers, f"not loaded: {type(error).__name__}: {error}")
        for dtype in DEFAULTS.dtypes:
            for layer in layers:
                found = _first_found(Limited(InProcess(getattr(functional, layer).vjp)), layer, dtype)
                if found is not None:
                    return Outcome(mutant.key, layers, found[0], layer, dtype, *found[1:])
        for layer in others:
            key = _accepted(Limited(InProcess(getattr(functional, layer).vjp)), layer, DEFAULTS.dtypes[0])
            if key is not None:
                return Outcome(mutant.key, layers, NOT_REFUSED, layer, DEFAULTS.dtypes[0], 0, key)
    return Outcome(mutant.key, layers)


def _first_found(asked: Asked, layer: str, dtype: str) -> tuple[str, int, str] | None:
    """Return what is found first, after how many judged cases, and where; bad calls come before the cases."""
    key = _accepted(asked, layer, dtype)
    if key is not None:
        return NOT_REFUSED, 0, key
    search = Search(asked, layer, dtype)
    search.strength = NotAsked(layer, dtype)
    search.run(DEFAULTS.examples, DEFAULTS.seed, until_found=True)
    for case, (finding, *_) in search.wrong.items():
        return f"{' '.join(finding.fault)}: {finding.message}"[:300], search.judged, case.key
    return None


def _accepted(asked: Asked, layer: str, dtype: str) -> str | None:
    """Return the key of a bad call that is not refused."""
    accepted = judge_refusals(asked, layer, dtype).accepted
    return accepted[0][0].key if accepted else None


class NotAsked(Strength):
    """The strength of a search, which is not asked for here and costs more than the search."""

    def would_exclude(self, case: Case, outputs: Collection[str] | None = None, planned: bool = False) -> set[str]:
        return set()


class _OutOfTime(BaseException):
    """A mutant has computed for too long."""


class Limited:
    """A layer that loses a question if it computes for too long."""

    def __init__(self, layer: Asked) -> None:
        self.layer = layer

    def ask(self, question: Question) -> Answer:
        """Ask the layer, for a while."""
        signal.signal(signal.SIGVTALRM, _out_of_time)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_OF_A_QUESTION)
        try:
            return self.layer.ask(question)
        except _OutOfTime:
            return Lost("timed_out", f"no answer within {SECONDS_OF_A_QUESTION} s")
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise _OutOfTime


def outcomes(mutants: Iterable[Mutant], processes: int = 2) -> Iterator[Outcome]:
    """Try mutants in processes of their own, those of the same layers one after the other: they share the truths."""
    tasks = sorted(((layers_of(mutant), mutant) for mutant in mutants), key=lambda task: task[0])
    context = multiprocessing.get_context("spawn")
    with ProcessPool(processes, context=context, initializer=_limit_memory) as pool:
        futures = [
            (mutant, pool.schedule(try_mutant, (mutant, layers, _others(mutant, layers)), timeout=SECONDS_OF_A_MUTANT))
            for layers, mutant in tasks
        ]
        for mutant, future in futures:
            try:
                yield future.result()
            except (NoAnswer, ProcessExpired) as error:
                yield Outcome(mutant.key, (), f"process lost: {error!r}")


def _others(mutant: Mutant, layers: Collection[str]) -> list[str]:
    return [layer for layer in executing(mutant) if layer not in layers]


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
