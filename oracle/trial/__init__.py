"""The trial: a case is drawn, the target answers, the truth is computed, the judge compares."""
