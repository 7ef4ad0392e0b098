"""A plugin of pytest: ``pytest --backproof-target mine.py`` makes each layer and dtype of a target a test item.

pytest loads it by its entry point in every project, so it imports nothing heavy before it is asked to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("backproof", "put layers and their gradients on trial")
    group.addoption(
        "--backproof-target", action="append", default=[], metavar="TARGET",
        help="impl, torch, jax, module[:attribute] or file.py[:attribute]; may be given several times",
    )  # fmt: skip
    group.addoption("--backproof-layers", default="", metavar="A,B", help="layers; by default all that it offers")
    group.addoption("--backproof-dtype", default="float32,float64", metavar="A,B", help="dtypes")
    group.addoption("--backproof-examples", type=int, default=100, metavar="N", help="cases per layer and dtype")
    group.addoption(
        "--backproof-seed", type=int, default=0, metavar="S", help="everything that is drawn follows from it"
    )
    group.addoption(
        "--backproof-sizes", default="tiles", metavar="WORD", help="how long an axis may be: small, tiles or large"
    )
    group.addoption(
        "--backproof-require",
        default="mathematics,accuracy,edges,contract",
        metavar="A,B",
        help="the aspects that count",
    )
    group.addoption("--backproof-timeout", type=float, default=60.0, metavar="S", help="seconds for one case")
    group.addoption("--backproof-memory", type=int, default=4096, metavar="MiB", help="memory that a target may use")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the layers to what is collected, so that -k, xdist and reports see them as any test."""
    if config.option.backproof_target:
        for target in config.option.backproof_target:
            items += TargetCollector.from_parent(session, name=target, nodeid=f"backproof::{target}").collect()


class TargetCollector(pytest.Collector):
    """The layers of a target."""

    def collect(self) -> Iterator[LayerItem]:
        """Yield an item per layer and dtype. A target that cannot be loaded ends the session, in one line."""
        from oracle.run.run import not_offered
        from oracle.targets.find import TargetError
        from oracle.targets.messages import Limits
        from oracle.targets.process import TargetProcess

        option = self.config.option
        limits = Limits(option.backproof_timeout, option.backproof_memory)
        layers, dtypes = _names(option.backproof_layers), _names(option.backproof_dtype)
        _refuse_bad_options(option, layers, dtypes)
        process = TargetProcess(self.name, limits)
        try:
            offer = process.offer()
        except TargetError as error:
            raise pytest.UsageError(f"backproof: {error}") from None
        finally:
            process.close()
        for layer in layers or offer.layers:
            lacking = "".join(not_offered((layer,), {self.name: offer}))
            for dtype in dtypes:
                yield LayerItem.from_parent(
                    self, name=f"{layer}[{dtype}]", layer=layer, dtype=dtype, limits=limits, lacking=lacking
                )


def _refuse_bad_options(option: Any, layers: list[str], dtypes: list[str]) -> None:
    """End the session, in one line, for an option that has no meaning."""
    from oracle.cases import DTYPES, SIZES
    from oracle.layers import LAYERS
    from oracle.results import aspects_named

    chosen = (("layer", layers, LAYERS), ("dtype", dtypes, DTYPES), ("kind of sizes", [option.backproof_sizes], SIZES))
    for what, names, there in chosen:
        for name in names:
            if name not in there:
                raise pytest.UsageError(f"backproof: there is no {what} {name!r}; there are {', '.join(there)}")
    if option.backproof_examples < 1:
        raise pytest.UsageError(f"backproof: at least 1 example, got {option.backproof_examples}")
    try:
        aspects_named(option.backproof_require)
    except ValueError as error:
        raise pytest.UsageError(f"backproof: --backproof-require: {error}") from None


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


class NotConforming(AssertionError):
    """A trial that does not prove what is required: in one line, and why in full."""

    def __init__(self, line: str, why: str = "") -> None:
        super().__init__(line)
        self.why = why


class LayerItem(pytest.Item):
    """One layer of a target in one dtype, on trial in a process of its own."""

    def __init__(self, *, layer: str, dtype: str, limits: Any, lacking: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.layer, self.dtype, self.limits, self.lacking = layer, dtype, limits, lacking
        self.extra_keyword_matches.add("backproof")

    def runtest(self) -> None:
        """Make the trial."""
        from oracle.cases import Subject
        from oracle.results import aspects_named, failure
        from oracle.trial.trial import Task, perform

        assert self.parent is not None
        if self.lacking:
            raise NotConforming(self.lacking)
        option = self.config.option
        examples, seed = option.backproof_examples, option.backproof_seed
        subject = Subject(self.parent.name, self.layer, self.dtype)
        trial = perform(Task(subject, examples, seed, self.limits, sizes=option.backproof_sizes)).trial
        if trial.verdict == "not_implemented":
            message = f"{trial.layer} of {trial.target} raised NotImplementedError in every case"
            if self.layer in _names(option.backproof_layers):
                raise NotConforming(message)
            pytest.skip(message)
        why = failure(trial, aspects_named(option.backproof_require))
        if why is not None:
            raise NotConforming(f"{trial.layer} of {trial.target} in {trial.dtype} is {trial.verdict}", why)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the smallest case of each thing that is wrong."""
        if not isinstance(excinfo.value, NotConforming):
            return super().repr_failure(excinfo, style)
        return f"{excinfo.value}\n\n{excinfo.value.why}".strip()

    def reportinfo(self) -> tuple[Any, int, str]:
        """Return where the item comes from, for the headline of a failure."""
        assert self.parent is not None
        return self.path, 0, f"{self.parent.name}: {self.name}"


@pytest.fixture
def assert_conforms() -> Any:
    """Provide ``backproof.assert_conforms``, which puts one function on trial as a layer."""
    from oracle.testing import assert_conforms

    return assert_conforms
