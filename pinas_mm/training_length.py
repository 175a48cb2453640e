"""How long the present training is."""

from mmengine.logging import MessageHub

from .errors import InputError


def training_length(asked_by: str) -> int:
    """The iterations of the run that trains now, as mmengine's Runner has told them.

    Args:
        asked_by: Who asks, for the message.

    Raises:
        InputError: There is no such run.
    """
    iterations = MessageHub.get_current_instance().get_info('max_iters')
    if not iterations:
        raise InputError(
            f"{asked_by}: the length of the training is unknown outside of a Runner's; give "
            f'ramp_steps'
        )
    return iterations
