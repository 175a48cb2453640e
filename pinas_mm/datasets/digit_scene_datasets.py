"""mmseg's ADE20K and Cityscapes datasets with the classes of digit scenes.

Not imported by ``pinas_mm`` itself, which works without mmseg: ``custom_imports =
dict(imports=['pinas_mm', 'pinas_mm.datasets.digit_scene_datasets'])``. mmseg's classes take only
their own class names from a config's ``metainfo``, so that other classes in their layout are a
subclass each."""

from mmseg.datasets import ADE20KDataset, CityscapesDataset

from ..registry import DATASETS
from .digit_scenes import CLASSES

PALETTE = [
    [60, 60, 60],
    [230, 25, 75],
    [60, 180, 75],
    [255, 225, 25],
    [0, 130, 200],
    [245, 130, 48],
    [145, 30, 180],
    [70, 240, 240],
    [240, 50, 230],
    [210, 245, 60],
    [250, 190, 212],
]


@DATASETS.register_module()
class DigitScenesADE20K(ADE20KDataset):
    """Digit scenes in ADE20K's layout: ``ADE20KDataset`` in everything but the classes."""

    METAINFO = dict(classes=CLASSES, palette=PALETTE)


@DATASETS.register_module()
class DigitScenesCityscapes(CityscapesDataset):
    """Digit scenes in Cityscapes' layout: ``CityscapesDataset`` in everything but the classes."""

    METAINFO = dict(classes=CLASSES, palette=PALETTE)
