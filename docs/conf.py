"""Sphinx configuration. The API pages read the docstrings of the installed package."""

import fastpair

project = "fastpair"
author = "The fastpair developers"
copyright = "The fastpair developers"
release = fastpair.__version__
version = release

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# The docstrings state the types in words; the annotations would say the same less readably.
autodoc_typehints = "none"
autosummary_generate = False
numpydoc_show_class_members = False

doctest_global_setup = "import numpy as np\nimport fastpair"

html_theme = "pydata_sphinx_theme"
html_title = "fastpair"
html_copy_source = False
html_theme_options = {
    "github_url": "https://github.com/fastpair/fastpair",
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}
# A page without siblings has nothing to show there.
html_sidebars = {
    page: []
    for page in (
        *("index", "install", "differences", "benchmarks", "papers"),
        *("guide/auc", "guide/similarity", "guide/losses", "guide/contrastive", "guide/large_batches"),
        *("guide/mining", "guide/hard_negatives"),
    )
}
