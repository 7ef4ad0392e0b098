"""Restate the claims of the five documents. There is one module per document.

``CLAIMS`` has all claims in reading order. ``AS_WRITTEN`` has the layers of the documents, with their slips, each from the
first document that describes it; ``backproof run --target reference`` judges them. Every module has its own ``AS_WRITTEN``
and ``CORRECTED``, which are targets too: ``--target reference.convnet_assignment:AS_WRITTEN``.
"""

from reference import (
    backpropagation_in_cnns,
    cnn_summary,
    computation_framework,
    convnet_assignment,
    minimal_tensorflow,
)
from reference.claim import Claim, LayerFunction
from reference.documents import DOCUMENTS, Document

MODULES = {
    "000": computation_framework,
    "001": backpropagation_in_cnns,
    "002": cnn_summary,
    "003": minimal_tensorflow,
    "004": convnet_assignment,
}

CLAIMS: tuple[Claim, ...] = tuple(claim for module in MODULES.values() for claim in module.CLAIMS)

AS_WRITTEN: dict[str, LayerFunction] = {}
for _module in MODULES.values():
    AS_WRITTEN = _module.AS_WRITTEN | AS_WRITTEN

__all__ = ["AS_WRITTEN", "CLAIMS", "DOCUMENTS", "MODULES", "Claim", "Document"]
