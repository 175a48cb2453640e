"""The Python API: ``import pinas_mm as nas``.

From a config, a checkpoint and your own images (torch Datasets ``train`` and ``held_out``) to the
found network::

    import pinas_mm as nas

    supernet = nas.supernet('linear.py', 'epoch_3.pth', train=train, val=held_out)
    result = nas.search(supernet, archs=200, limits=dict(macs=4e6), score='accuracy/top1')
    print(result.table().head())
    net = result.best.model()
    result.best.export('best.onnx')

The tools use the same code. Nothing is printed on standard output; a progress bar and warnings are
on standard error, and the log is in the work dir."""

from .arch_rank import RankResult, rank
from .arch_scores import evaluate
from .search_result import SearchResult, search
from .space_description import NamedSpace, SpaceDescription, space
from .subnets import Subnet, load_subnet
from .supernets import Supernet, supernet

__all__ = [
    'NamedSpace',
    'RankResult',
    'SearchResult',
    'SpaceDescription',
    'Subnet',
    'Supernet',
    'evaluate',
    'load_subnet',
    'rank',
    'search',
    'space',
    'supernet',
]
