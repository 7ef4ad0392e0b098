"""Judge the claims of the documents: ask each question, answer it independently, and compare the two answers."""
