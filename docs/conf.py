"""Settings of the documentation site: ``make -C docs html``."""

import contextlib
import sys
from pathlib import Path
from typing import Any, get_type_hints

from sphinx.application import Sphinx

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


def setup(app: Sphinx) -> None:
    """Signatures show types alone: not the bounds that ``Annotated`` arguments are checked by."""

    def without_bounds(app: Sphinx, function: Any, bound_method: bool) -> None:
        function = getattr(function, '__func__', function)
        if getattr(function, '__annotations__', None):
            with contextlib.suppress(Exception):  # names that are imported for type checkers alone
                function.__annotations__ = get_type_hints(function)

    app.connect('autodoc-before-process-signature', without_bounds)
