"""The build step of pinas_mm: a wheel also holds the pure-Python configs. All else is in
pyproject.toml; `bash tools/setup.sh` makes a whole environment."""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

TOP = Path(__file__).resolve().parent
# Links to configs/ and tools/ in a checkout, files in an sdist: the only place that both have.
FILES = TOP / 'pinas_mm/.mim'


class BuildWithConfigs(build_py):
    """Copies the package, and generates ``pinas_mm/configs``. An editable install does neither."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        # In a process of its own, since it imports the mm packages and this source tree. What is on
        # PYTHONPATH stays, since pip isolates a build by it.
        path = [str(TOP), *filter(None, [os.environ.get('PYTHONPATH')])]
        generated = subprocess.run(
            [
                sys.executable,
                FILES / 'tools/generate_configs.py',
                *('--source', FILES / 'configs'),
                *('--destination', Path(self.build_lib).resolve() / 'pinas_mm/configs'),
            ],
            env=os.environ | dict(PYTHONPATH=os.pathsep.join(path)),
        )
        if generated.returncode:
            raise SetupError(
                'pinas_mm/configs was not generated (the error is above). It needs mmengine, mmcv, '
                'mmpretrain, mmdet and mmseg, which a build in isolation does not see. Build where '
                'they are installed (bash tools/setup.sh makes such an environment), with '
                '`pip wheel --no-deps --no-build-isolation .`'
            )


setup(cmdclass=dict(build_py=BuildWithConfigs))
