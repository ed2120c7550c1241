"""Sphinx settings; `make docs` builds the pages."""

from gossamer.version import __version__

project = "Gossamer"
author = copyright = "The Gossamer developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Gossamer"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
suppress_warnings = ["myst.xref_missing"]  # the README's links into the repository
