"""Mixed precision: mmengine's, and the same without a GPU."""

from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as GPUAmpOptimWrapper
from mmengine.optim import OptimWrapper

from ..errors import InputError
from ..private_api import computes_in_bfloat16
from ..registry import OPTIM_WRAPPERS


def require_mixed_precision() -> None:
    """Raises:
    InputError: There is neither a GPU nor a processor that computes in bfloat16.
    """
    if get_device() == 'cpu' and not computes_in_bfloat16():
        raise InputError(
            'mixed precision: there is no GPU, and this processor does not compute in bfloat16 '
            '(AVX512-BF16 or AMX), so it would be slower: leave --amp out, or take '
            "optim_wrapper=dict(type='OptimWrapper', ...)"
        )


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(GPUAmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper``, which also trains on a CPU: there in bfloat16, and without a
    loss scale, since bfloat16 has float32's range.

    Args:
        loss_scale: As in mmengine's; not used on a CPU.
        dtype: As in mmengine's: float16 on a GPU by default. bfloat16 on a CPU.
        kwargs: As in mmengine's.

    Raises:
        InputError: On a CPU: another dtype, or see :func:`require_mixed_precision`.
    """

    def __init__(
        self,
        loss_scale: str | float | dict = 'dynamic',
        dtype: str | torch.dtype | None = None,
        **kwargs: Any,
    ) -> None:
        if get_device() != 'cpu':
            super().__init__(loss_scale=loss_scale, dtype=dtype, **kwargs)
            return
        require_mixed_precision()
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            raise InputError(
                f"dtype={dtype!r} of {type(self).__name__}: expected 'bfloat16' on a CPU"
            )
        OptimWrapper.__init__(self, **kwargs)  # mmengine's own refuses a CPU
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=False)
        self.cast_dtype = torch.bfloat16

    def load_state_dict(self, state_dict: dict) -> None:
        """Loads what ``state_dict`` gave; on a GPU also what a CPU saved, which has no loss
        scale."""
        super().load_state_dict(
            {key: value for key, value in state_dict.items() if key != 'loss_scaler' or value}
        )
