"""Imports modules as if some packages were not installed, or runs a script so:

python few_packages.py pinas_mm.engine
python few_packages.py benchmarks/gpu_check.py --device cpu --small
"""

import importlib.abc
import importlib.util
import runpy
import sys

NOT_INSTALLED = ('mmcv._ext', 'mmcv.ops', 'mmdet', 'mmseg', 'lightgbm', 'pymoo')


class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith(NOT_INSTALLED):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


def find_spec(name, *args):
    return None if name.startswith(NOT_INSTALLED) else found(name, *args)


found, importlib.util.find_spec = importlib.util.find_spec, find_spec
sys.meta_path.insert(0, Hidden())
if sys.argv[1].endswith('.py'):
    sys.argv = sys.argv[1:]
    sys.path[0] = str(sys.argv[0]).rpartition('/')[0]
    runpy.run_path(sys.argv[0], run_name='__main__')
else:
    for module in sys.argv[1:]:
        importlib.import_module(module)
