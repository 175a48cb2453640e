"""Which scores need no training? Each is one file here; it registers itself under the names that
configs use."""

import pkgutil
from importlib import import_module

from .initialisation import freshly_initialised
from .registration import (
    TRAINING_FREE,
    TrainingFreeScore,
    TrainingFreeScores,
    register_training_free,
    training_free_scores,
)

# Every file of this folder is imported, so that a new score needs no line here.
for _module in pkgutil.iter_modules(__path__):
    import_module(f'{__name__}.{_module.name}')

__all__ = [
    'TRAINING_FREE',
    'TrainingFreeScore',
    'TrainingFreeScores',
    'freshly_initialised',
    'register_training_free',
    'training_free_scores',
]
