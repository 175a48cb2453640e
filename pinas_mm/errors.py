"""The one exception for user errors; the tools turn it into one line and exit code 2."""


class InputError(ValueError):
    """A wrong arch, space, option, file or checkpoint.

    Its message names the value, what was expected, and where it came from. Anything else that goes
    wrong is a failure (exit code 1) and keeps its traceback."""
