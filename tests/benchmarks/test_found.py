import itertools
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from odd_images import write_odd_images

from pinas_mm.errors import InputError
from pinas_mm.ranking.equal_cost import EqualCost
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space

TOP = Path(__file__).parents[2]
SPACE = get_space('nasbench_macro')
CELLS = get_space('nasbench201')
NETWORKS = sorted({SPACE.canonical(arch) for arch in itertools.product(range(3), repeat=8)})


@pytest.fixture
def equal():
    """400 networks with accuracies and few costs, so that some are equal."""
    rng = np.random.default_rng(0)
    table = TruthTable(
        SPACE, {arch: (rng.uniform(60, 90),) for arch in NETWORKS[:400]}, 'truth.json'
    )
    return EqualCost(table, rng.integers(20, 40, 400) * 1000)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a few images, and made-up tables of both spaces."""
    monkeypatch.setenv('PINAS_DATA', str(write_odd_images(tmp_path / 'images', train=60)))
    rng = np.random.default_rng(0)
    accuracies = {SPACE.encode(arch): rng.uniform(60, 90) for arch in NETWORKS}
    (tmp_path / 'macro.json').write_text(json.dumps(accuracies))
    cells = sorted({CELLS.sample(rng) for _ in range(400)})
    lines = [f'{CELLS.cell_string(cell)},{rng.uniform(60, 90):.2f}' for cell in cells]
    (tmp_path / 'cells.csv').write_text('\n'.join(['cellstr,cifar10-test', *lines]))
    return tmp_path


# Loaders without processes.
QUICK = [
    f'{loader}.{setting}'
    for loader in ('train_dataloader', 'val_dataloader', 'arch_evaluation.calibration_dataloader')
    for setting in ('num_workers=0', 'persistent_workers=False')
]


@pytest.fixture
def tool(monkeypatch):
    """Runs a tool in this process, which has imported everything; its last arguments are overrides.
    Returns seconds, as the benchmarks' own function does."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments), *QUICK])
        runpy.run_path(str(TOP / 'tools' / name), run_name='__main__')
        return 1.5

    return run


def run_main(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['found.py', *map(str, arguments)])
    module.main()


def table_rows(text):
    return [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in text.splitlines()
        if line.startswith('| ') and '---' not in line
    ]


def test_the_table_is_the_mean_over_seeds_and_limits(benchmark):
    rng = np.random.default_rng(0)
    runs = [
        dict(
            method='pinas',
            seed=seed,
            limit=limit * 1_000_000,
            percentile=rng.uniform(80, 100),
            left_out=None,
            train_seconds=60.0 * (seed + 1),
            search_seconds=30.0,
        )
        for seed in range(3)
        for limit in (2, 3, 4)
    ]
    values = np.array([run['percentile'] for run in runs]).reshape(3, 3)
    runs += [
        dict(method='random', seed=None, limit=limit * 1_000_000, percentile=50, left_out=None)
        for limit in (2, 3, 4)
    ]
    rows = table_rows(benchmark('found').table(runs))
    assert rows[0][4:] == ['2.00 M', '3.00 M', '4.00 M']
    assert rows[1][:2] == ['pinas', '3'] and rows[1][3] == '2.0 + 0.5'
    assert [float(cell) for cell in rows[1][4:]] == pytest.approx(values.mean(axis=0), abs=0.051)
    assert rows[2] == ['random', '-', '50.0 [50.0, 50.0]', '', '50.0', '50.0', '50.0']
    mean, low, high = map(float, re.findall(r'[\d.]+', rows[1][2]))
    assert mean == pytest.approx(values.mean(), abs=0.051)
    means = [
        np.mean([[values[seed][limit] for limit in limits] for seed in seeds])
        for seeds, limits in rng.integers(3, size=(4000, 2, 3))
    ]
    assert [low, high] == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.4)


def test_a_run_without_a_percentile_is_left_out_and_named(benchmark, equal):
    found = benchmark('found')
    arch = NETWORKS[500]
    run = dict(method='pinas', seed=1, limit=30_000, **found.judged(equal, [arch], [1.0]))
    assert run['percentile'] is None
    other = dict(method='pinas', seed=1, limit=40_000, percentile=90.0, left_out=None)
    text = found.table([run, other])
    assert table_rows(text)[1][2:] == ['90.0 [90.0, 90.0]', '', '-', '90.0']
    encoded = SPACE.encode(arch)
    assert text.splitlines()[-1] == (
        f'- pinas, seed 1, limit 30000: truth.json: arch {encoded} is not among its 400 archs'
    )
    assert table_rows(found.table([run]))[1][2:] == ['-', '', '-']


def test_rules_choose_from_the_archs_of_equal_cost(benchmark, equal):
    """Each by a loop over the class."""
    found, limit = benchmark('found'), 33_500
    costs = dict(zip(equal.networks, equal.costs))
    members = [arch for arch in equal.networks if 0.95 * limit <= costs[arch] <= limit]

    def layers(arch):
        return sum(choice != 0 for choice in arch)

    def mean(chosen):
        return pytest.approx(np.mean([equal.percentile(arch) for arch in chosen]))

    runs = {run['method']: run for run in found.rules(equal, limit)}
    largest = [arch for arch in members if costs[arch] == 33_000]
    deepest = [arch for arch in members if layers(arch) == max(map(layers, members))]
    assert len(members) > len(largest) > 1 and len(members) > len(deepest) >= 1
    assert runs['random']['percentile'] == mean(members)
    assert runs['largest']['percentile'] == mean(largest)
    assert runs['deepest']['percentile'] == mean(deepest)
    assert runs['largest']['arch'] == f'{len(largest)} archs'


def test_limits_with_too_few_archs_are_left_out_or_refused(benchmark, equal, capsys):
    found = benchmark('found')
    assert found.limits_of(equal, 9) == [int(limit) for limit in equal.limits()]
    sparse = EqualCost(equal.table, [*[1000] * 150, *range(10_000, 260_000, 1000)])
    limits = found.limits_of(sparse, 9)
    said = capsys.readouterr().out
    assert set(limits) == {1000} and 'is left out: fewer than 20 other networks' in said
    few = EqualCost(TruthTable(SPACE, {arch: (80.0,) for arch in NETWORKS[:20]}), [1000] * 20)
    with pytest.raises(InputError, match='at none of the limits .* expected a larger table'):
        found.limits_of(few, 9)


def test_a_method_without_a_search_config_is_named(benchmark, monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit):
        run_main(
            benchmark('found'),
            monkeypatch,
            *('--truth', 'none.json', '--work-dir', tmp_path, '--methods', 'sandwich'),
        )
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(
            '--methods sandwich: no search config '
            'configs/ranking/sandwich-search_nasbench-macro_cifar10.py'
        )
    )


@pytest.mark.slow
def test_rules_on_cell_strings(benchmark, monkeypatch, folder):
    """NASWOT's choices are those of its scores, which are kept; a second run takes them."""
    found = benchmark('found')
    arguments = ['--space', 'nasbench201', '--truth', folder / 'cells.csv', '--seeds', '0', '1']
    arguments += ['--work-dir', folder / 'work', '--limits', '2']
    monkeypatch.setattr(found, 'NASWOT_ARCHS', 6)
    run_main(found, monkeypatch, *arguments)
    runs = json.loads((folder / 'work/found.json').read_text())
    limits = sorted({run['limit'] for run in runs})
    assert [run['method'] for run in runs] == len(limits) * [
        *('random', 'largest', 'deepest'),
        *['naswot', 'depth + naswot'] * 2,
    ]
    _, equal = found.equal_cost(
        found.config('nasbench201', 'uniform'), folder / 'cells.csv', folder / 'again'
    )
    for run in runs:
        if run['method'] == 'naswot':
            name = f'work/nasbench201-rules/naswot-{run["limit"]}-{run["seed"]}.json'
            scores = json.loads((folder / name).read_text())
            best = max(scores, key=scores.get)
            assert len(scores) == 6 and run['arch'] == best
            assert run['percentile'] == pytest.approx(equal.percentile(CELLS.decode(best)))
    monkeypatch.setattr(found, 'training_free_scores', pytest.fail)
    run_main(found, monkeypatch, *arguments)
    assert json.loads((folder / 'work/found.json').read_text()) == runs


@pytest.mark.slow
def test_a_real_search(benchmark, monkeypatch, folder, tool):
    """One method, one seed, one limit; what is finished is not run again."""
    found = benchmark('found')
    for module in (found, benchmark('ranking')):
        monkeypatch.setattr(module, 'tool', tool)
    arguments = ['--truth', folder / 'macro.json', '--work-dir', folder / 'work', '--seeds', '0']
    arguments += '--methods rare-identity --passes 128 --limits 1 --archs 4'.split()
    monkeypatch.setattr(found, 'NASWOT_ARCHS', 2)
    run_main(found, monkeypatch, *arguments)
    runs = json.loads((folder / 'work/found.json').read_text())
    (run,) = (run for run in runs if run['method'] == 'rare-identity')
    searched = folder / f'work/nasbench-macro-rare-identity-128-0/search-4-{run["limit"]}'
    assert len(SPACE.decode(run['arch'])) == 8 and 0 <= run['percentile'] <= 100
    assert run['macs'] <= run['limit'] and run['train_seconds'] == run['search_seconds'] == 1.5
    assert Path(searched, 'subnet.yaml').exists()
    monkeypatch.setattr(found, 'tool', pytest.fail)
    run_main(found, monkeypatch, *arguments)
    assert json.loads((folder / 'work/found.json').read_text()) == runs
