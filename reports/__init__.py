"""The results' data model, and the HTML pages made from it."""
