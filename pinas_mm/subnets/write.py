"""What every method hands over: a subnet file, and the subnet's weights beside it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoint import save_checkpoint
from ..spaces.subnet_file import SubnetFile


def write_subnet(
    weights: str | os.PathLike, subnet: SubnetFile, state_dict: Mapping[str, Tensor], **meta: Any
) -> Path:
    """Writes a checkpoint of the subnet, and its subnet file under the same name with ``.yaml``.

    The checkpoint comes first: where there is a subnet file, its weights are complete. Its
    ``meta`` is what the subnet file holds (:meth:`SubnetFile.to_dict`), and ``meta``.

    Args:
        weights: The checkpoint to write, such as ``work_dir/subnet.pth``.
        subnet: What the subnet file holds.
        state_dict: The tensors of the model with the subnet as its backbone
            (:func:`~pinas_mm.subnets.state_dict.subnet_state_dict`).
        meta: More to keep in the checkpoint's ``meta``, plain data.

    Returns:
        The path of the subnet file.
    """
    save_checkpoint(weights, dict(state_dict), meta | subnet.to_dict())
    path = Path(weights).with_suffix('.yaml')
    subnet.write(path)
    return path
