"""What users are told: the one exception for user errors, which the tools turn into one line and
exit code 2, and warnings."""

from functools import cache


class InputError(ValueError):
    """A wrong arch, space, option, file or checkpoint.

    Its message names the value, what was expected, and where it came from. Anything else that goes
    wrong is a failure (exit code 1) and keeps its traceback."""


class TooFewSamplesError(InputError):
    """A metric cannot be computed of so few samples, or of these; of more it may be."""


@cache
def warn_once(message: str) -> None:
    """Logs a warning, once for each message in the life of the process: about a result that is
    finite and means nothing, or a setting that is not what was asked for."""
    import logging  # not above: what imports this module for an exception needs no mm package

    from mmengine.logging import print_log

    print_log(message, logger='current', level=logging.WARNING)
