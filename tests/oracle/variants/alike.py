"""Judge all variants of a layer with the cases of one trial.

``python -m tests.oracle.variants.alike --examples 1000 --seeds 0 1 2 [--dtype float32] [--out FILE] [LAYER ...]`` judges
all of them and writes one line per variant, seed and verdict.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from unittest import mock

from oracle.judge import Judgement, judge
from oracle.targets.ask import InProcess
from oracle.trial import search as search_module
from tests.oracle.variants.variant import VARIANTS


def judged_alike(variants, layer, dtype, examples, seed, sizes="tiles"):
    """Ask every variant in every case of one trial. Returns the findings of each, with their cases, and the number of cases.

    The cases of a trial follow from the layer and the seed as long as nothing is wrong, so all variants share them.
    """
    asked = {variant: InProcess(variant.function) for variant in variants}
    found = {variant: [] for variant in variants}

    def judge_all(_, case):
        for variant, function in asked.items():
            judgement = judge(function, case)
            assert judgement.offered
            found[variant] += [(case, finding) for finding in judgement.findings]
        return Judgement(judged=judgement.judged)

    with mock.patch.object(search_module, "judge", judge_all):
        search = search_module.Search(None, layer, dtype, sizes)
        search.strength.judged = lambda *arguments: set()  # what the cases exclude is not asked here
        search.run(examples, seed)
    return found, search.judged


def main():
    """Judge the variants of the layers that are named, or of all, and write what is found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("layers", nargs="*")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    for layer in given.layers or dict.fromkeys(variant.layer for variant in VARIANTS):
        variants = [variant for variant in VARIANTS if variant.layer == layer]
        for seed in given.seeds:
            began = time.perf_counter()
            found, judged = judged_alike(variants, layer, given.dtype, given.examples, seed)
            for variant in variants:
                verdicts = Counter(f"{finding.verdict} {case.values}" for case, finding in found[variant])
                first = {
                    f"{finding.verdict} {case.values}": f"{finding.message} | {case}"
                    for case, finding in found[variant][::-1]
                }
                alarms = [f for f in found[variant] if not variant.may_be(f[1].verdict, f[0].values)]
                line = {
                    "layer": layer, "variant": variant.name, "dtype": given.dtype, "seed": seed, "judged": judged,
                    "verdicts": verdicts, "not explained": len(alarms), "first": first,
                }  # fmt: skip
                if given.out:
                    with given.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
                for case, finding in alarms[:3]:
                    print(f"{layer}, {variant.name}: {finding.verdict} {finding.message} | {case}", flush=True)
            print(f"{layer} {given.dtype} seed {seed}: {judged} cases, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
