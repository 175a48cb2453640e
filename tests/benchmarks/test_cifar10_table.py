import pytest


@pytest.fixture
def runs():
    def row(name, arch, score, test):
        return dict(name=name, arch=arch, params=1.2e5, macs=2.96e6, score=score, test=test)

    return [
        dict(
            seed=seed,
            rows=[
                row('searched', f'2221222{seed}', 29, 45 + seed),
                row('median-scored', '11111111', 26, 44),
                row('random 1', '00000000', 22, 43),
                row('random 2', '00000001', 22, 42),
            ],
        )
        for seed in range(2)
    ]


def test_equal_cost_percentiles_are_a_column_where_there_is_a_table(benchmark, runs):
    table = benchmark('cifar10_table').table
    percentiles = {'22212220': 90, '22212221': 96, '11111111': 51.4, '00000000': 10}
    lines = table(runs, percentiles | {'00000001': None}).splitlines()
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert rows[0][-2:] == ['test accuracy (%)', 'equal-cost percentile']
    assert rows[2] == '0 searched 22212220 0.120 2.96 29.00 45.00 90'.split()
    assert [row[-1] for row in rows[2:10]] == ['90', '51', '10', '-', '96', '51', '10', '-']
    assert [row[1:3] + row[-2:] for row in rows[10:]] == [
        ['**searched**', '2 run(s)', '**45.50** ± 0.71', '**93** ± 4'],
        ['**median-scored**', '2 run(s)', '**44.00** ± 0.00', '**51** ± 0'],
        ['**random**', '4 run(s)', '**42.50** ± 0.58', '**10** ± 0'],
    ]
    plain = table(runs).splitlines()
    assert plain == [line.rsplit('|', 2)[0] + '|' for line in lines]
