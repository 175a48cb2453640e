"""The Python API: ``import pinas_mm as nas``.

Five verbs and what they return::

    import pinas_mm as nas

    supernet = nas.supernet('configs/quickstart/linear.py', 'epoch_10.pth')
    result = nas.search(supernet, archs=200, limits=dict(macs=1e6))
    print(result.table().head())
    net = result.best.model()
    result.best.export('best.onnx')

The tools use the same code. Nothing is printed but a progress bar, on standard error; the log is in
the work dir."""

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
