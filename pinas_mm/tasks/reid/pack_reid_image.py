"""What re-identification models of mmdet take, one image a sample."""

from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS

from ...registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackReIDImage(BaseTransform):
    """mmdet's PackReIDInputs for datasets of single images, with ``camera`` and ``query`` for the
    metric.

    mmdet's packs a sample as ``(N, C, H, W)``, since its dataset hands out whole batches; its
    models then take one sample at a time. Here ``inputs`` is ``(C, H, W)``, and loaders make the
    batches.

    Raises:
        KeyError: mmdet is not installed.
    """

    def __init__(self) -> None:
        self.pack = ROOT_TRANSFORMS.build(
            dict(type='mmdet.PackReIDInputs', meta_keys=('camera', 'query'))
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        packed = self.pack(results)
        return dict(packed, inputs=packed['inputs'][0])
