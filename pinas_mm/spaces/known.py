"""The spaces known by name: our own, and those that other packages register."""

import difflib
from typing import TypeVar

from ..errors import InputError
from ..schema import LONGEST, shown
from .base import SearchSpace

SPACES: dict[str, SearchSpace] = {}

Space = TypeVar('Space', bound=SearchSpace)


def register_space(space: Space) -> Space:
    """Makes a space known by its name, so that subnet files can name it.

    ``WAVES = register_space(SearchSpace(name='waves', ...))`` in a module of any package. Whoever
    reads a subnet file of the space must have imported that module; in a config
    ``custom_imports = dict(imports=['the_package'])`` does so.

    Args:
        space: The space. The same one may be registered again.

    Returns:
        The space itself.

    Raises:
        InputError: Another space has that name.
    """
    known = SPACES.setdefault(space.name, space)
    if known != space:
        raise InputError(
            f'register_space: a different space is already named {space.name!r}: choose another '
            f'name than {sorted(SPACES)}'
        )
    return space


def get_space(name: str, source: str = 'space') -> SearchSpace:
    """The space of that name.

    Args:
        name: The name it was registered with.
        source: Where the name came from, for the message.

    Raises:
        InputError: No imported module has registered it.
    """
    if name not in SPACES:
        # The closest ones: all would fill the screen.
        close = difflib.get_close_matches(name[:LONGEST], SPACES, 3, cutoff=0)
        raise InputError(
            f'{source}: unknown space {shown(name)}, expected a known one, such as {close}; import '
            f'the package that registers it, in a config with '
            f"custom_imports = dict(imports=['...'])"
        )
    return SPACES[name]
