from .arch_sampling_hook import ArchSamplingHook
from .arch_search_hook import ArchSearchHook
from .dsnas_hook import DSNASHook
from .epoch_seed_hook import EpochSeedHook
from .finite_weights_hook import FiniteWeightsHook
from .hand_over_hook import HandOverHook
from .knn_hook import KNNHook
from .label_range_hook import LabelRangeHook
from .prediction_picture_hook import PredictionPictureHook
from .progress_hook import ProgressHook
from .same_data_hook import SameDataHook

__all__ = [
    'ArchSamplingHook',
    'ArchSearchHook',
    'DSNASHook',
    'EpochSeedHook',
    'FiniteWeightsHook',
    'HandOverHook',
    'KNNHook',
    'LabelRangeHook',
    'PredictionPictureHook',
    'ProgressHook',
    'SameDataHook',
]
