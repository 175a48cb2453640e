def run(strategy, seed, scores):
    """A run that ranked twelve archs, each better than the one before, by each ranker."""
    archs, taus = [f'{index:02}' for index in range(12)], {'up': 1.0, 'down': -1.0}
    values = {'up': range(12), 'down': range(12, 0, -1)}
    return dict(
        strategy=strategy,
        passes=1000,
        seed=seed,
        archs=12,
        ceiling=1.0,
        train_seconds=60,
        rank_seconds=120,
        rankings={ranker: dict(tau=dict(value=taus[way])) for ranker, way in scores.items()},
        scored=[
            dict(
                arch=arch,
                truth=index,
                scores={ranker: values[way][index] for ranker, way in scores.items()},
            )
            for index, arch in enumerate(archs)
        ],
    )


def test_strategies_whose_scores_differ_stand_in_one_table(benchmark):
    table = benchmark('ranking').table
    both = {'macs': 'up', 'few_truths (30)': 'up'}
    runs = [
        run('uniform', 0, {'accuracy/top1': 'down', **both}),
        run('dna', 0, {'blockwise/neg_loss': 'up', **both}),
    ]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table(runs).splitlines()]
    cells = {row[0]: row[1:] for row in rows if row}
    assert cells['accuracy/top1'][0].startswith('-1.000')
    assert cells['accuracy/top1'][1] == ''
    assert cells['blockwise/neg_loss'][0] == ''
    assert cells['blockwise/neg_loss'][1].startswith('1.000')
    assert [cells['CPU min to train'], cells['CPU min to rank']] == [['1.0'] * 2, ['2.0'] * 2]
    assert cells['macs'][0].startswith('1.000')
