"""The commands of docs/tutorials/several_gpus.md, with two ranks on a CPU."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pinas_mm.spaces.subnet_file import SubnetFile

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/tutorials/several_gpus.md').read_text()
COMMANDS = re.findall(r'```bash\n(.*?)```', PAGE, re.DOTALL)[0].splitlines()
QUICK = {
    'train.py': [
        'train_cfg.max_epochs=1',
        'model.backbone.init_cfg=None',
        'default_hooks.checkpoint.interval=1',
    ],
    'search.py': ['search_loop.num_archs=4', 'search_loop.score_samples=50'],
}
# mmengine's launcher wants a GPU: the ranks are there before it asks.
ON_CPU = """
import runpy, sys
import torch.distributed as dist
import pinas_mm.pipelines.adaptation
dist.init_process_group('gloo')
del sys.argv[0]
sys.path[0] = sys.argv[0].rpartition('/')[0]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.slow
@pytest.mark.distributed
def test_the_commands_train_and_search_on_two_ranks(tmp_path):
    configs = {
        'train.py': ROOT / 'configs/quickstart/linear.py',
        'search.py': ROOT / 'configs/quickstart/search.py',
    }
    environment = os.environ | dict(
        PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''
    )
    (tmp_path / 'on_cpu.py').write_text(ON_CPU)
    assert len(COMMANDS) == 2
    for command in COMMANDS:
        torchrun, *words = shlex.split(command)
        assert torchrun == 'torchrun'
        tool = next(Path(word).name for word in words if word.startswith('tools/'))
        values = {'8': '2', 'CONFIG': str(configs[tool]), 'CHECKPOINT': 'train/epoch_1.pth'}
        words = [values.get(word, word) for word in words]
        place = words.index(f'tools/{tool}')
        words[place : place + 1] = [str(tmp_path / 'on_cpu.py'), str(ROOT / 'tools' / tool)]
        out = [
            '--work-dir',
            tool.removesuffix('.py'),
            '--cfg-options',
            'env_cfg.dist_cfg.backend=gloo',
        ]
        start = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
        run = subprocess.run(
            [*start, *words, *out, *QUICK[tool]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr[-3000:]
    assert SubnetFile.read(tmp_path / 'search/subnet.yaml').space == 'nasbench_macro'
    assert len((tmp_path / 'search/history.jsonl').read_text().splitlines()) >= 6
