"""The mm model inside what a runner wraps around it."""

from mmengine.model import BaseModel, is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> BaseModel:
    """The model itself, without the wrapper that averages gradients over several ranks."""
    if not is_model_wrapper(model):
        return model
    assert isinstance(model.module, nn.Module)
    return model.module
