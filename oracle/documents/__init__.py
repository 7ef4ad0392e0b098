"""The documents on trial: questions that the oracle answers by itself, and the judgement of claims."""
