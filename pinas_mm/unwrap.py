"""The mm model inside what a runner wraps around it."""

from mmengine.model import BaseModel, BaseTTAModel, is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> BaseModel:
    """The model itself: without the wrapper that averages gradients over several ranks, and without
    the one that merges the predictions of test-time augmentation. Checkpoints have its keys."""
    model = without_ranks(model)
    if isinstance(model, BaseTTAModel):
        return model.module
    return model


def without_ranks(model: nn.Module) -> BaseModel:
    """The model without the wrapper that averages gradients over several ranks alone."""
    if not is_model_wrapper(model):
        return model
    assert isinstance(model.module, nn.Module)
    return model.module
