"""Learn what a target lacks: ask it for one feature after the other, in cases that have nothing else that it never took."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

from oracle.cases import Case, Values
from oracle.layers import LAYERS
from oracle.layers.fit import Misfit, shapes_of
from oracle.trial.lengths import sizes_of, valid
from oracle.trial.offers import REFUSALS, Offers, features

MOST_ROUNDS = 6
SIMPLEST = 2
MOST_ATTEMPTS = 100

Takes = Callable[[Case], bool]


def learn(offers: Offers, not_taken: Iterable[Case], takes: Takes) -> None:
    """Learn which lengths a target takes, and which features it lacks. ``takes`` asks the target for a case."""
    cases = sorted(not_taken, key=lambda case: case.elements)
    for _ in range(MOST_ROUNDS):
        if not any(_learn_lengths(offers, group, takes) for group in _by_axes(cases)):
            break
    if not offers.taken:
        _find_any(cases, takes)
    words = sorted({word for case in cases for word in features(case)})
    for together in (False, True):
        for word in words:
            if word not in offers.taken and word not in offers.blamed:
                _ask_for(word, offers, cases, takes, together)


def _by_axes(cases: list[Case]) -> list[list[Case]]:
    """Sort cases with elements into groups by the number of axes of the first array."""
    groups: dict[int, list[Case]] = {}
    for case in cases:
        given = [shape for shape in case.shapes if shape is not None]
        if not any(0 in shape for shape in given):
            groups.setdefault(len(given[0]), []).append(case)
    return list(groups.values())


def _learn_lengths(offers: Offers, cases: list[Case], takes: Takes) -> bool:
    """Learn which lengths a target takes, if it refuses the simplest calls. Returns whether anything new was learnt."""
    cases.sort(key=lambda case: (len(features(case) - offers.taken), case.elements))
    for case in islice((case for case in cases if not takes(case)), SIMPLEST):
        calls = [fitted for call in _simplest_calls(case) if (fitted := offers.lengths.fitted(call)) is not None]
        if not any(takes(call) for call in calls) and any(offers.lengths.learn(call, takes) for call in calls):
            return True
    return False


def _simplest_calls(case: Case) -> list[Case]:
    """Return a case without options, with all optional arrays and with none of them, and the case itself."""
    layer = LAYERS[case.layer]
    configuration = {name: value for name, value in case.configuration.items() if layer.options[name] is ...}
    options = layer.options | configuration
    found = []
    for optional in (True, False):
        given = [optional or name not in layer.optional for name in layer.arrays]
        try:
            shapes = shapes_of(layer.signature.arrays, sizes_of(case, configuration), options, given)
        except (KeyError, Misfit):  # a length that only an array names which is not given; not enough axes
            continue
        if shapes is not None:
            call = replace(case.contiguous, shapes=shapes, configuration=configuration, values=Values.NORMAL)
            found.append(replace(call, odd_array=None))
    return list(dict.fromkeys(call for call in [*found, case] if valid(call)))


def _find_any(cases: list[Case], takes: Takes) -> None:
    """Ask for each configuration with each of the shapes, the simplest first, until the target takes one."""
    distinct = {str((case.shapes, case.configuration)): case for case in cases}.values()
    plain = [replace(case.contiguous, values=Values.NORMAL, odd_array=None) for case in distinct]
    calls = [replace(case, configuration=other.configuration) for case in plain for other in plain]
    attempts = 0
    for call in {call.key: call for call in calls}.values():
        if attempts == MOST_ATTEMPTS:
            return
        if valid(call):
            attempts += 1
            if takes(call):
                return


def _ask_for(word: str, offers: Offers, cases: list[Case], takes: Takes, together: bool) -> None:
    """Ask for a feature in cases that have no other one that the target never took, or, ``together``, one more.

    The target lacks the features if it refuses such cases, and takes one of them without the features.
    """
    never = {other for case in cases for other in features(case)} - offers.taken
    refused: list[Case] = []
    for case in cases:
        other = _with_only(word, case, never, offers, together)
        if other is None or other in refused:
            continue
        if takes(other):
            return
        refused.append(other)
        if len(refused) == REFUSALS:
            break
    for case in refused:
        plain = offers.without(case, never)
        if plain is None or takes(plain):
            offers.blame(features(case) - offers.taken, lacks=True)
            return
    offers.blame({word}, lacks=False)


def _with_only(word: str, case: Case, never: set[str], offers: Offers, together: bool) -> Case | None:
    """Return a case without the other features that the target never took, or with one of them: some only come in pairs."""
    here = features(case)
    if word not in here:
        return None
    for kept in ({word, other} for other in sorted((here & never) - offers.blamed - {word})) if together else ({word},):
        found = offers.without(case, never - kept)
        if found is not None and kept <= features(found):
            return found
    return None
