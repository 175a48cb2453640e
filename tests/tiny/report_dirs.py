"""Work dirs as runs leave them, written by hand: no model runs."""

import json

import numpy as np

from pinas_mm.searching.history import History, Record
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.visualization.arch_drawing import DrawnArch
from pinas_mm.visualization.run_facts import RunFacts

SPACE = get_space('nasbench_macro')
SCORE = 'accuracy/top1'
# What a page must not run.
SCRIPT = '</script><script>window.hacked = true</script>'
DATASET = dict(type='pinas_mm.Digits', split='held_out', data_root=SCRIPT)


def term_macs(arch):
    """MACs of the positions: any that depend on the candidates."""
    return tuple(1e5 * choice * (index + 1) for index, choice in enumerate(arch))


def drawn(arch):
    return DrawnArch(arch, term_macs(arch), 2e5)


def records(count=30, seed=0, failed=()):
    """Records whose score is 50, 10 more for each mb6_k5 in slot 5, and noise of 1."""
    rng = np.random.default_rng(seed)
    found = []
    for index, arch in enumerate(map(tuple, SPACE.sample_array(rng, count).tolist())):
        score = 50 + 10 * (arch[5] == 2) + float(rng.normal())
        costs = dict(macs=sum(term_macs(arch)) + 2e5, params=1e4 + 100 * sum(arch))
        if index in failed:
            found.append(Record(index, arch, None, costs=costs, error='RuntimeError: no <memory>'))
        else:
            found.append(Record(index, arch, score, {SCORE: score}, costs))
    return found


def search_dir(folder, count=30, seed=0, failed=(), finished=True, facts=True, **changes):
    """A search of random archs; returns its records and its winner's."""
    found = records(count, seed, failed)
    header = dict(
        config='search.py',
        seed=seed,
        searcher=dict(type='random'),
        score=SCORE,
        score_samples=200,
        calibration_batches=2,
        constraints='macs in [-inf, 5e+06]',
        dataset=DATASET,
        calibration_dataloader=dict(dataset=DATASET),
        data=dict(val_dataloader=dict(samples=1234, contents='0')),
    )
    folder.mkdir(parents=True, exist_ok=True)
    History(folder / 'history.jsonl', SPACE, header).append(found, {})
    winner = max((r for r in found if r.score is not None), key=lambda record: record.score)
    if finished:
        SubnetFile(
            'nasbench_macro', winner.arch, 0.25, winner.metrics, winner.costs, seed, 'search.py'
        ).write(folder / 'subnet.yaml')
        (folder / 'subnet.pth').touch()
    if facts:
        RunFacts(
            **dict(
                kind='search',
                space='nasbench_macro',
                command='python tools/search.py search.py supernet.pth',
                config='configs/search.py',
                versions=dict(torch='2.10.0'),
                widen_factor=0.25,
                limits=dict(macs=(None, 5e6)),
                budget=count,
                seconds=754.0,
                forecast_seconds=700.0,
                forecast_archs=8,
                warnings=(f'loss is odd {SCRIPT}',),
                drawings=dict(winner=drawn(winner.arch), largest=drawn((2,) * 8)),
            )
            | changes
        ).write(folder)
    return found, winner


def stage_logs(stage, losses, warning='BN sees one image', **more):
    """The logs of a training as mmengine writes them."""
    logs = stage / '20260101_000000'
    (logs / 'vis_data').mkdir(parents=True)
    lines = [
        json.dumps(
            dict(loss=loss, step=step, **{name: values[step] for name, values in more.items()})
        )
        for step, loss in enumerate(losses)
    ]
    (logs / 'vis_data/scalars.json').write_text('\n'.join([*lines, '{"loss": 1']))
    (logs / '20260101_000000.log').write_text(
        f'2026/01/01 00:00:00 - mmengine - INFO - fine\n'
        f'2026/01/01 00:00:00 - mmengine - WARNING - {warning}\nits second line\n'
        f'2026/01/01 00:00:00 - mmengine - WARNING - "FileClient" will be deprecated in future.\n'
    )


def dsnas_dir(folder):
    """A DSNAS run; returns its result."""
    folder.mkdir(parents=True, exist_ok=True)
    arch = (0, 2, 1, 2, 0, 1, 2, 2)
    result = dict(
        arch=SPACE.encode(arch),
        metrics={SCORE: 91.25},
        costs=dict(macs=3e6, backbone_macs=2e6, params=4e4),
        seconds=dict(search=100.0, train=50.0, total=150.0),
        search_epochs=3,
        search_iterations=57,
        probabilities=[[0.2, 0.3, 0.5]] * 8,
    )
    (folder / 'dsnas.json').write_text(json.dumps(result))
    SubnetFile('nasbench_macro', arch, 0.25, result['metrics'], result['costs']).write(
        folder / 'subnet.yaml'
    )
    stage_logs(folder / 'search', [2.5, 2.0], arch_entropy=[1.0, 0.75])
    stage_logs(folder / 'train', [1.5, 0.5])
    RunFacts('dsnas', 'nasbench_macro', 'python tools/dsnas.py', 'dsnas.py').write(folder)
    return result


def adaptation_dir(folder, finished=True):
    """An adaptation; returns what adapt.json holds."""
    _, winner = search_dir(folder / 'search')
    source = (2,) * 8
    step = dict(seconds=60.0, operations=5e9)
    row = dict(arch=SPACE.encode(winner.arch), costs=winner.costs, **step)
    report = dict(
        config='adapt.py',
        supernet='source.pth',
        steps=dict(supernet=step, search=step, subnet=step) if finished else dict(supernet=step),
        arch=SPACE.encode(winner.arch),
        source_arch=SPACE.encode(source),
        source_costs=dict(macs=9e6, params=2e4),
        slots=[
            dict(slot=slot, source='mb6_k5', found=SPACE.candidates[slot][choice].name)
            for slot, choice in enumerate(winner.arch)
        ],
    )
    if finished:
        report['rows'] = {
            'joint adaptation': dict(row, metrics={SCORE: 91.54}),
            '(a) fixed source arch': dict(row, metrics={SCORE: 'NaN'}),
        }
    (folder / 'adapt.json').write_text(json.dumps(report))
    stage_logs(folder / 'supernet', [2.5, 2.0])
    RunFacts(
        'adaptation',
        'nasbench_macro',
        config='configs/adapt.py',
        command='python tools/adapt.py configs/adapt.py',
        drawings=dict(winner=drawn(winner.arch), source=drawn(source)),
    ).write(folder)
    return report


def interval(value):
    return dict(value=value, low=None if value is None else value - 0.1, high=value and value + 0.1)


def ranking_dir(folder, taus=(0.61, 0.42, None)):
    """A ranking of three rankers; returns what ranking.json holds."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (SCORE, 'macs', '<b>depth</b>')
    ranking = dict(top=1, num_archs=20)
    archs = [record for record in records(20, seed=3)]
    data = dict(
        config='configs/rank.py',
        checkpoint='supernet.pth',
        truth='truth.csv',
        seed=0,
        trained=[],
        samples=dict(
            uniform=dict(
                archs=20,
                ceiling=0.8,
                rankings={
                    name: ranking
                    | dict(
                        tau=interval(tau),
                        regret_best=1.25,
                        regret_top10=None,
                        undefined=None if tau is not None else 'all scores are equal',
                    )
                    for name, tau in zip(names, taus)
                },
            ),
            **{
                'equal-cost': dict(
                    archs=20,
                    ceiling=None,
                    classes=[],
                    left_out=['too few at 3e6'],
                    perfect=dict(percentile=interval(100.0), tau=interval(1.0)),
                    rankings={
                        name: dict(percentile=interval(percentile), tau=interval(0.2))
                        for name, percentile in zip(names, (81.0, 50.0, 40.0))
                    },
                )
            },
        ),
        archs=[
            dict(
                arch=SPACE.encode(record.arch),
                truth=record.score,
                trainings=[record.score],
                macs=record.costs['macs'],
                samples=['uniform'],
                scores={SCORE: record.score, 'macs': record.costs['macs'], '<b>depth</b>': None},
            )
            for record in archs
        ],
    )
    (folder / 'ranking.json').write_text(json.dumps(data))
    RunFacts('ranking', 'nasbench_macro', 'python tools/rank.py').write(folder)
    return data
