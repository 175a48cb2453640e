"""Models and data on a GPU that does not exist: torch's fake tensors have a device and a shape, and
no numbers. An operation on tensors of two devices fails as it would on a real GPU, and so does
reading a number, for which Python would have to wait."""

from contextlib import contextmanager, nullcontext
from unittest import mock

import numpy as np
import torch
from mmengine.model import BaseModel
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

# A name of torch's for a device that is not the CPU. 'cuda' itself would do, but for the backward
# pass, which asks the driver.
GPU = torch.device('lazy', 0)


@contextmanager
def fake_gpu(*models):
    """Within it new tensors are fake, and the parameters and buffers of models are fake ones on the
    GPU. Other tensors that modules hold stay as they are: the GPU knows none of them."""
    # The types of mixed precision are those of a real GPU.
    full_precision = mock.patch.object(torch, 'autocast', lambda *args, **kwargs: nullcontext())
    with FakeTensorMode(), full_precision:
        for model in models:
            for module in model.modules():
                for kind in (module._parameters, module._buffers):
                    for name, tensor in kind.items():
                        if tensor is not None:
                            kind[name] = _fake(tensor)
            if isinstance(model, BaseModel):
                model._set_device(GPU)
        yield


def _fake(tensor):
    fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=GPU)
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(fake, requires_grad=tensor.requires_grad)
    return fake


@contextmanager
def numbers_made_up(truth=False):
    """Within it Python gets a number or ``truth`` where it reads one: for code that has to."""
    read = dict(
        item=lambda self: 0.5,
        tolist=lambda self: [0] * self.numel(),
        numpy=lambda self, force=False: np.zeros(self.shape),
        __bool__=lambda self: truth,
        __float__=lambda self: 0.5,
        __int__=lambda self: 1,
    )
    with mock.patch.multiple(FakeTensor, **read):
        yield
