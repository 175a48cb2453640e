"""Settings of the documentation site: ``make -C docs html``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # the extensions beside this file, and this checkout

from pinas_mm.version import __version__  # noqa: E402

project = 'pinas_mm'
copyright = 'the pinas_mm contributors'
release = version = __version__

extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'config_reference',
    'library_reference',
]
exclude_patterns = ['_build', 'Makefile', '.jupyter_cache']

myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 4  # so that #headings can be linked to, as on GitHub
# Notebooks are run by tests/test_notebooks.py, not by every build.
nb_execution_mode = 'off'

autodoc_typehints = 'signature'
autodoc_member_order = 'bysource'
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = 'furo'
html_title = f'pinas_mm {__version__}'
html_static_path = ['_static']
html_css_files = ['wide_tables.css']
