"""How the pages are built: make docs, into build/docs."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

project = "GRU4Rec"
author = "the authors of the files"
release = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)[1]  # type: ignore[index]

extensions = [
    "mathml",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
# Notebooks are text; they are run where what they show is not yet kept, and a cell that fails fails the build.
nb_execution_mode = "cache"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_execution_show_tb = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True}

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"GRU4Rec {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
exclude_patterns = ["_build", "jupyter_execute"]
