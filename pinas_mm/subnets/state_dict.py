"""Takes a subnet's weights out of a supernet."""

from mmengine.model import BaseModel
from torch import Tensor

from ..spaces import Arch


def subnet_state_dict(model: BaseModel, arch: Arch) -> dict[str, Tensor]:
    """The tensors of ``model`` that stay when its backbone becomes the subnet ``arch``, under the
    same names.

    A model that has parts for its training alone, such as a teacher, names them in an attribute
    ``learning_only``: names of children and buffers. They are left out. Of any other model,
    everything beside the backbone stays.

    Args:
        model: An mm model whose ``backbone`` is a supernet.
        arch: The subnet.
    """
    own = {f'backbone.{key}': value for key, value in model.backbone.subnet_state(arch).items()}
    left_out = {'backbone', *getattr(model, 'learning_only', ())}
    return {
        key: own.get(key, value)
        for key, value in model.state_dict().items()
        if key in own or key.partition('.')[0] not in left_out
    }
