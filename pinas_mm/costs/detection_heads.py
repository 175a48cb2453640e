"""Heads of mmdet whose work depends on the image and on the weights, which a cost should not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn

# Of the boxes, in pixels. It changes no count; RoIAlign samples large boxes more often.
BOX_SIZE = 16.0


def mode_of(model: nn.Module) -> tuple[str, tuple[str, ...]]:
    """The mode in which a model is counted, and what to know about the number.

    It is ``'tensor'``, but for one-stage detectors whose mask head works on detections (CondInst,
    YOLACT): in that mode they need annotations."""
    heads = {name for name in ('roi_head', 'bbox_head', 'mask_head') if _has(model, name)}
    if heads != {'bbox_head', 'mask_head'}:
        return 'tensor', ()
    return 'predict', (
        'MACs of the mask head are of the instances found in an image of zeros, which depend on '
        'the weights',
    )


@contextmanager
def boxes_at_maximum(
    model: nn.Module, samples: Sequence[BaseDataElement]
) -> Iterator[tuple[str, ...]]:
    """Within it ``model(inputs, samples, mode='tensor')`` runs the RoI head of a two-stage detector
    as a test does, on as many boxes as the config allows for.

    Its bbox head (every stage of a cascade) gets ``test_cfg.rpn.max_per_img`` proposals an image,
    its mask and grid heads get ``test_cfg.rcnn.max_per_img`` detections. Without a limit on
    proposals (Sparse R-CNN and QueryInst, where their number is fixed) proposals and detections are
    those of the model. mmdet's own ``mode='tensor'`` gives mask heads 100 proposals, or all.

    Args:
        model: Any model; one without a RoI head runs as ever.
        samples: Its data samples.

    Yields:
        What was counted for how many boxes, one sentence each.
    """
    if not _has(model, 'roi_head'):
        yield ()
        return
    roi_head: Any = model.roi_head
    proposals = _limit(getattr(model, 'rpn_head', None))
    detections = _limit(roi_head) or proposals

    def forward(
        features: tuple[Tensor, ...],
        found: list[InstanceData],
        batch_data_samples: Sequence[BaseDataElement] = samples,
    ) -> tuple[InstanceData, ...]:
        if proposals:
            found = [_boxes(features[0], proposals) for _ in found]
        return tuple(roi_head.predict(features, found, batch_data_samples, rescale=False))

    def detect(*unused: Any, rois: Sequence[Tensor], **kwargs: Any) -> list[InstanceData]:
        return [_boxes(boxes, detections) for boxes in rois]

    def without_pasting(
        mask_preds: Any, results_list: list[InstanceData], *unused: Any, **kwargs: Any
    ) -> list[InstanceData]:
        return results_list

    with ExitStack() as replaced:
        replaced.enter_context(_replaced(roi_head, 'forward', forward))
        if _has(roi_head, 'mask_head'):
            # It would paste each mask into the image: slow, not counted, and it fails for boxes of
            # random weights.
            last = _last(roi_head.mask_head)
            replaced.enter_context(_replaced(last, 'predict_by_feat', without_pasting))
        if proposals:
            last = _last(roi_head.bbox_head)
            replaced.enter_context(_replaced(last, 'predict_by_feat', detect))
            yield (
                f'MACs of the RoI head are of {proposals} proposals (test_cfg.rpn.max_per_img) and '
                f'{detections} detections (test_cfg.rcnn.max_per_img) an image, the most its '
                f'config lets through',
            )
        else:
            yield ()


def _has(model: nn.Module, name: str) -> bool:
    return isinstance(getattr(model, name, None), nn.Module)


def _last(heads: nn.Module) -> nn.Module:
    """A head, or that of the last stage of a cascade, whose results are the detections."""
    return heads[-1] if isinstance(heads, nn.ModuleList) else heads


def _limit(head: nn.Module | None) -> int:
    """The most boxes an image that a head's ``test_cfg`` lets through; 0 where it has no limit."""
    config = getattr(head, 'test_cfg', None) or {}
    return max(0, int(config.get('max_per_img') or 0))


def _boxes(like: Tensor, count: int) -> InstanceData:
    """Equal boxes, which are proposals and detections."""
    return InstanceData(
        bboxes=like.new_tensor([[0.0, 0.0, BOX_SIZE, BOX_SIZE]]).repeat(count, 1),
        scores=like.new_ones(count),
        labels=like.new_zeros(count).long(),
    )


@contextmanager
def _replaced(module: nn.Module, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Another method for one module, not for its class."""
    setattr(module, name, method)
    try:
        yield
    finally:
        delattr(module, name)
