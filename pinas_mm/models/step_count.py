"""The number of training steps that a model has done, counted where it is read: on the host."""

from typing import Any

import torch
from torch import Tensor


def count_steps(module: Any) -> None:
    """Gives a module ``step``, an int that starts at 0 and that its train step raises.

    Archs are a function of it, and Python draws them: reading a buffer would let Python wait for
    the GPU at every step. In state dicts it is an int64 tensor ``step`` of shape ``()``, as a
    buffer's would be."""
    module.step = 0
    # Functions, not methods: a copy of the module must save its own.
    module.register_state_dict_post_hook(_save)
    module.register_load_state_dict_pre_hook(_load)


def _save(module: Any, state: Any, prefix: str, metadata: dict) -> None:
    state[f'{prefix}step'] = torch.tensor(module.step)


def _load(
    module: Any,
    state: dict[str, Tensor],
    prefix: str,
    metadata: dict,
    strict: bool,
    missing: list[str],
    *unused: Any,
) -> None:
    key = f'{prefix}step'
    if key in state:
        module.step = int(state.pop(key))  # no buffer takes it
    elif strict:
        missing.append(key)
