"""Renderers: results as HTML, JUnit XML and Markdown. They import nothing of the other packages."""
