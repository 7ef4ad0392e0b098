"""The five documents that the layers come from, and (one module a document, to come) what they claim."""

from reference.documents import DOCUMENTS, Document

__all__ = ["DOCUMENTS", "Document"]
