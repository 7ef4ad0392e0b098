"""The judge: one case, and everything that a target answered, beside the truth."""

from oracle.judge.aspect import aspect_of
from oracle.judge.finding import Fault, Finding, Held, Judgement
from oracle.judge.judge import judge
from oracle.judge.refusals import Refusals, judge_refusal, judge_refusals

__all__ = ["Fault", "Finding", "Held", "Judgement", "Refusals", "aspect_of", "judge", "judge_refusal", "judge_refusals"]
