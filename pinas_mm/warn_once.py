"""A warning that is said once."""

import logging
from functools import cache

from mmengine.logging import print_log


@cache
def warn_once(text: str) -> None:
    """Warns in the current log, once per process, however often it is said."""
    print_log(text, logger='current', level=logging.WARNING)
