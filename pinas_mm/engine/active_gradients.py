"""Data-parallel training of a supernet: averages exactly the gradients that the step's paths
produced."""

from typing import Any

import torch
from mmengine.dist import all_reduce_params, broadcast, get_world_size
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ..registry import MODEL_WRAPPERS
from ..schema import Count
from ..strategies import PathOptimWrapper, Strategy


@MODEL_WRAPPERS.register_module()
class ActiveGradientDataParallel(nn.Module):
    """A model wrapper for supernets, named in a config by ``model_wrapper_cfg =
    dict(type='pinas_mm.ActiveGradientDataParallel')``.

    In a supernet, other parameters take part at every step. PyTorch's DistributedDataParallel then
    needs either ``static_graph`` (forbids that) or ``find_unused_parameters`` (walks the whole
    graph at every step, and fills in zero gradients that decay what did not run). Here every rank
    runs the same archs (or, under :class:`~pinas_mm.strategies.DSNASMixin`, knows those of the
    others), so the parameters with a gradient are the same on every rank: those are averaged after
    the backward pass, in flat buckets, and the others keep ``.grad`` None.

    BN statistics stay per rank; parameters and buffers are made equal to rank 0's once, at the
    start.

    Args:
        module: The model.
        bucket_size_mb: Size of the flat buckets in MiB; 25 as in DistributedDataParallel.
    """

    def __init__(self, module: nn.Module, bucket_size_mb: Count = 25) -> None:
        super().__init__()
        self.module: BaseModel = module
        self.bucket_size_mb = bucket_size_mb
        with torch.no_grad():
            for tensor in module.state_dict().values():
                broadcast(tensor, src=0)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def train_step(
        self, data: dict | tuple | list, optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """One training step; as in ``BaseModel.train_step``, with the active gradients averaged
        before the update.

        They are averaged before the optimiser wrapper unscales and checks them, so that under AMP
        every rank takes or skips the same steps; with gradient accumulation, once per update, and
        so for a strategy's several passes."""
        log_vars = self._accumulate_gradients(data, optim_wrapper)
        if optim_wrapper.should_update():
            self.average_gradients(optim_wrapper)
            optim_wrapper.step()
            optim_wrapper.zero_grad()
        return log_vars

    def _accumulate_gradients(
        self, data: dict | tuple | list, optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        if isinstance(self.module, Strategy):
            return self.module.accumulate_gradients(data, optim_wrapper)
        with optim_wrapper.optim_context(self):
            data = self.module.data_preprocessor(data, training=True)
            losses = (
                self.module(**data, mode='loss')
                if isinstance(data, dict)
                else self.module(*data, mode='loss')
            )
        loss, log_vars = self.module.parse_losses(losses)
        optim_wrapper.backward(optim_wrapper.scale_loss(loss))
        return log_vars

    def average_gradients(self, optim_wrapper: OptimWrapper) -> None:
        """Averages over the ranks every gradient that exists, those included that a
        :class:`PathOptimWrapper` keeps by itself."""
        if get_world_size() > 1:
            gradients = [
                parameter.grad
                for parameter in self.module.parameters()
                if parameter.grad is not None
            ]
            if isinstance(optim_wrapper, PathOptimWrapper):
                gradients += optim_wrapper.held_gradients()
            all_reduce_params(gradients, bucket_size_mb=self.bucket_size_mb, op='mean')

    def val_step(self, data: dict | tuple | list) -> list:
        return self.module.val_step(data)

    def test_step(self, data: dict | tuple | list) -> list:
        return self.module.test_step(data)
