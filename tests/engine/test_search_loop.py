import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmcv.transforms import BaseTransform
from mmengine.registry import LOOPS, TRANSFORMS
from mmengine.runner import Runner
from page_text import shown
from torch import nn

from pinas_mm.checkpoint import checksum, save_checkpoint
from pinas_mm.costs import measure_costs
from pinas_mm.costs.latency import Latency
from pinas_mm.datasets import Digits, SeededSplit
from pinas_mm.engine import search_loop
from pinas_mm.engine.loaders import first_images
from pinas_mm.engine.search_loop import SearchLoop
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.ranking.training_free import training_free_scores
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.searching.history import read_history
from pinas_mm.searching.score import Score, Standing
from pinas_mm.searching.search import Failure, TooManyFailuresError, by_posterior_mean
from pinas_mm.searching.searchers.random import RandomSearcher
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.subnet_config import subnet_backbone, subnet_classifier
from pinas_mm.visualization.run_facts import RunFacts

SEARCHERS = dict(
    random=dict(type='random'),
    evolution=dict(type='evolution', population=4, tournament=2),
    partition_tree=dict(type='partition_tree', num_initial=4, refit_every=4, min_leaf=1),
    nsga2=dict(type='nsga2', population=4, objectives=['params', 'macs']),
)
NUM_ARCHS, ASK, TOP_K, MACS = 12, 4, 3, 3.5e6


@pytest.fixture
def search(tiny):
    """Runs a search in a folder of its own; the supernet is the same every time."""

    def run(name, seed_of_weights=0, searcher=SEARCHERS['random'], model=None, held_out=64, **loop):
        evaluator = loop.pop('evaluator', dict(type='Accuracy', topk=(1,)))
        loop = (
            dict(
                type='pinas_mm.SearchLoop',
                searcher=searcher,
                num_archs=NUM_ARCHS,
                ask_size=ASK,
                calibration_batches=1,
                calibration_dataloader=tiny.digits(shuffle=True),
                input_size=32,
                constraints=dict(macs=MACS),
                score_samples=29,
                top_k=TOP_K,
            )
            | loop
        )
        runner = tiny.searching(
            model=model or tiny.classifier(),
            work_dir=str(tiny.folder / name),
            search_loop=loop,
            val_dataloader=dict(tiny.digits(), dataset=held_out)
            if isinstance(held_out, dict)
            else tiny.digits('held_out', indices=held_out),
            val_evaluator=evaluator,
        )
        tiny.randomise(runner.model, seed_of_weights)
        runner.test()
        return runner

    return run


def lines(folder):
    header, *rest = map(json.loads, (folder / 'history.jsonl').read_text().splitlines())
    return header, [line for line in rest if 'spent' not in line]


def costs(tiny, arch):
    """MACs and parameters of the plain subnet, counted by hooks on what ran."""
    model, macs = (
        tiny.runner(
            model=tiny.classifier(arch=arch), work_dir=str(tiny.folder / 'costs')
        ).model.eval(),
        {},
    )
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(
                lambda m, inputs, output, name=name: macs.update(
                    {name: output.numel() * m.weight[0].numel()}
                )
            )
    model(torch.zeros(1, 3, 32, 32), mode='tensor')
    return dict(
        macs=sum(macs.values()),
        backbone_macs=sum(macs[name] for name in macs if name.startswith('backbone.')),
        params=sum(parameter.numel() for parameter in model.parameters()),
    )


@pytest.mark.slow
@pytest.mark.parametrize('name', SEARCHERS)
def test_search_writes_the_best_within_the_limits_and_its_record_is_true(tiny, search, name):
    runner = search(name, searcher=SEARCHERS[name])
    folder = tiny.folder / name
    header, records = lines(folder)
    found, final = (
        [record for record in records if record['stage'] == stage] for stage in ('search', 'final')
    )
    assert [record['index'] for record in found] == list(range(NUM_ARCHS)) and len(
        {tuple(record['arch']) for record in found}
    ) == NUM_ARCHS
    assert all(record['costs']['macs'] <= MACS for record in records)
    assert header['searcher'] == SEARCHERS[name] and header['space'] == 'nasbench_macro'

    # Named is not the best score but the arch of which most is to be expected.
    space, score = get_space('nasbench_macro'), Score('accuracy/top1')
    _, read, _ = read_history(folder / 'history.jsonl', space)
    several, better = read[:NUM_ARCHS], read[NUM_ARCHS:]
    top = by_posterior_mean(space, several, score)[:TOP_K]
    assert [record['arch'] for record in final] == [list(record.arch) for record in top]
    expected = by_posterior_mean(space, several, score, better)[0]
    winner = next(record for record in final if tuple(record['arch']) == expected.arch)
    subnet = SubnetFile.read(folder / 'subnet.yaml')
    assert subnet.arch == tuple(winner['arch']) == runner.test_loop.winner.arch
    assert (
        subnet.scores == winner['metrics'] == {'accuracy/top1': winner['score']}
        and subnet.widen_factor == 0.25
    )
    assert subnet.costs == winner['costs'] == costs(tiny, subnet.arch)

    # The subnet alone, by mmengine's own test loop over the whole held-out set.
    backbone = dict(
        arch=str(folder / 'subnet.yaml'),
        widen_factor=None,
        init_cfg=dict(type='Pretrained', checkpoint=str(folder / 'subnet.pth'), prefix='backbone.'),
    )
    plain = tiny.runner(
        model=tiny.classifier(**backbone),
        work_dir=str(tiny.folder / 'plain'),
        test_cfg=dict(),
        test_dataloader=tiny.digits('held_out'),
        test_evaluator=dict(type='Accuracy', topk=(1,)),
    )
    plain.model.init_weights()
    checkpoint = torch.load(folder / 'subnet.pth', weights_only=True)
    assert checkpoint['meta'] == subnet.to_dict()
    state = checkpoint['state_dict']
    plain.model.head.load_state_dict(
        {key[5:]: value for key, value in state.items() if key.startswith('head.')}, strict=True
    )
    assert all(torch.equal(value, state[key]) for key, value in plain.model.state_dict().items())
    assert plain.model.state_dict().keys() == state.keys()
    assert plain.test()['accuracy/top1'] == winner['score']


def interrupt(monkeypatch, stop):
    """Ctrl-C while asked batch number ``stop`` is scored."""
    score, count = ArchEvaluator._score, []

    def scoring(self, *args):
        count.append(self)
        if len(count) > stop:
            raise KeyboardInterrupt
        return score(self, *args)

    monkeypatch.setattr(ArchEvaluator, '_score', scoring)


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, stop',
    [('random', 1), ('evolution', 2), ('partition_tree', 2), ('nsga2', 2), ('partition_tree', 3)],
)
def test_stopped_and_resumed_it_ends_as_if_never_stopped(tiny, search, monkeypatch, name, stop):
    whole = search('whole', searcher=SEARCHERS[name])
    with monkeypatch.context() as patch:
        interrupt(patch, stop)
        with pytest.raises(KeyboardInterrupt):
            search('parts', searcher=SEARCHERS[name])
    parts = tiny.folder / 'parts'
    assert len(lines(parts)[1]) == stop * ASK and not (parts / 'subnet.yaml').exists()
    with monkeypatch.context() as patch:
        interrupt(patch, NUM_ARCHS // ASK + 1 - stop)  # nothing is evaluated twice
        resumed = search('parts', searcher=SEARCHERS[name], resume=True)
    for file in ('history.jsonl', 'subnet.yaml', 'pareto.json'):
        assert (parts / file).read_bytes() == (tiny.folder / 'whole' / file).read_bytes()
    assert resumed.test_loop.winner == whole.test_loop.winner
    first, second = (
        torch.load(tiny.folder / folder / 'subnet.pth', weights_only=True)['state_dict']
        for folder in ('whole', 'parts')
    )
    assert first.keys() == second.keys() and all(
        torch.equal(value, second[key]) for key, value in first.items()
    )


def test_a_limit_on_the_results_changes_neither_the_history_nor_the_resume(
    tiny, search, monkeypatch
):
    """Each arch is scored in a pass of its own, since 64 images of one are over the limit."""
    passes, read = [], ArchEvaluator._pass
    monkeypatch.setattr(ArchEvaluator, '_pass', lambda *args: passes.append(args[2]) or read(*args))
    metrics = [dict(type='Accuracy', topk=(1,)), dict(type='SingleLabelMetric')]
    search('whole', searcher=SEARCHERS['evolution'], evaluator=metrics)
    assert list(map(len, passes)) == [ASK] * 3 + [TOP_K]
    passes.clear()
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            search('parts', searcher=SEARCHERS['evolution'], evaluator=metrics, results_mb=0.01)
    search('parts', searcher=SEARCHERS['evolution'], evaluator=metrics, resume=True)
    assert list(map(len, passes)) == [4, 3, 2, 1] * 2 + [ASK] + [TOP_K]
    for file in ('history.jsonl', 'subnet.yaml', 'pareto.json'):
        folders = (tiny.folder / folder / file for folder in ('parts', 'whole'))
        assert len({path.read_bytes() for path in folders}) == 1


@pytest.mark.slow
def test_the_log_says_once_what_was_counted_and_each_archs_costs(tiny, search, monkeypatch):
    def with_note(*args):
        table = measure_costs(*args)
        table.notes = ('counted for 1000 proposals',)
        return table

    monkeypatch.setattr(search_loop, 'measure_costs', with_note)
    winner = search('noted').test_loop.winner
    log = next((tiny.folder / 'noted').glob('*/*.log')).read_text()
    assert log.count('counted for 1000 proposals') == 1
    costs = {name: winner.costs[name] / 1e6 for name in ('macs', 'backbone_macs', 'params')}
    assert (
        '{macs:.1f} M MACs ({backbone_macs:.1f} M backbone)  {params:.2f} M params'.format(**costs)
        in log
    )


@pytest.mark.slow
def test_the_pareto_front_and_the_plots_are_written(tiny, search):
    search('front', searcher=SEARCHERS['nsga2'], save_pareto=True)
    folder = tiny.folder / 'front'
    found = [record for record in lines(folder)[1] if record['stage'] == 'search']

    def dominated(record):
        """By hand: another is no worse in score, params and MACs, and better in one."""
        mine = (-record['score'], record['costs']['params'], record['costs']['macs'])
        others = [
            (-other['score'], other['costs']['params'], other['costs']['macs']) for other in found
        ]
        return any(other != mine and all(a <= b for a, b in zip(other, mine)) for other in others)

    pareto = json.loads((folder / 'pareto.json').read_text())
    assert pareto['objectives'] == ['accuracy/top1', 'params', 'macs']
    assert sorted(pareto['front'], key=lambda r: r['index']) == [
        record for record in found if not dominated(record)
    ]
    for record in pareto['front']:
        subnet = SubnetFile.read(
            folder / 'pareto' / ''.join(map(str, record['arch'])) / 'subnet.yaml'
        )
        assert list(subnet.arch) == record['arch'] and subnet.costs == record['costs']
    for name in ('search_curve.png', 'pareto.png'):
        assert (folder / name).read_bytes().startswith(b'\x89PNG')


@pytest.mark.slow
def test_the_report_is_of_the_search(tiny, search, monkeypatch):
    checked = SearchLoop.check_metrics

    def warning(loop):
        loop.runner.logger.warning('odd weights')
        checked(loop)

    monkeypatch.setattr(SearchLoop, 'check_metrics', warning)
    winner = search('whole').test_loop.winner
    folder = tiny.folder / 'whole'
    facts, space = RunFacts.read(folder), get_space('nasbench_macro')
    drawn = facts.drawings['winner']
    assert drawn.arch == winner.arch and facts.warnings == ('odd weights',)
    assert sum(drawn.macs) + drawn.other_macs == winner.costs['macs']
    assert facts.limits == dict(macs=(None, MACS)) and facts.budget == NUM_ARCHS
    assert 0 < facts.forecast_seconds and facts.forecast_archs == ASK
    page = shown(folder / 'report.html')
    assert f'names arch {space.encode(winner.arch)}' in page and 'odd weights' in page
    assert (folder / 'arch.svg').read_text().startswith('<svg')
    # All starts count.
    search('whole', resume=True)
    assert RunFacts.read(folder).seconds > facts.seconds
    assert RunFacts.read(folder).forecast_seconds == facts.forecast_seconds
    # Of a larger budget, the forecast for it.
    search('whole', resume=True, num_archs=2 * NUM_ARCHS)
    doubled = RunFacts.read(folder).forecast_seconds
    assert doubled == pytest.approx(2 * facts.forecast_seconds)

    def broken(folder):
        raise ZeroDivisionError('a mistake in the page')

    monkeypatch.setattr(search_loop, 'write_search_report', broken)
    assert search('broken').test_loop.winner.arch == winner.arch, 'the search is not lost'
    log = next((tiny.folder / 'broken').glob('*/*.log')).read_text()
    assert f'python tools/report.py {tiny.folder / "broken"}' in log and 'a mistake' in log
    assert (tiny.folder / 'broken/subnet.pth').exists()


@pytest.mark.slow
def test_the_modes_give_near_scores(search):
    """Sharing is exact; half precision and a race are near, and a race says what it saw."""
    records = {
        name: search(name, num_archs=4, score_samples=None, **change).test_loop
        for name, change in dict(
            plain=dict(share_prefixes=False),
            shared={},
            half=dict(autocast='bfloat16'),
            raced=dict(race=dict(top_k=2)),
        ).items()
    }
    scores = {
        name: [
            record['metrics'] for record in lines(loop.out_dir)[1] if record['stage'] == 'search'
        ]
        for name, loop in records.items()
    }
    assert scores['shared'] == scores['plain']
    assert [{**metrics, 'samples': 64.0} for metrics in scores['plain']] == scores['raced']
    assert all(
        abs(a['accuracy/top1'] - b['accuracy/top1']) <= 10
        for a, b in zip(scores['half'], scores['plain'])
    )


def test_a_forecast_searches_nothing(tiny, search, monkeypatch):
    monkeypatch.setattr(Runner, 'test', lambda runner: None)
    runner = search('dry')
    found = runner.build_test_loop(runner.cfg.test_cfg).forecast()
    assert (found.archs, found.asked_batches, found.data_batches) == (
        12,
        3,
        (1, 2),
    ) and 0 < found.seconds < 600
    assert (
        found.memory_mb > 50
        and 0.1 < found.disk_mb < 10
        and not list(tiny.folder.glob('dry/*.jsonl'))
    )
    assert any('12 in 3 asked batches' in line for line in found.lines())


@pytest.mark.slow
def test_archs_that_fail_are_in_the_log_and_the_history(tiny, search, monkeypatch):
    evaluate = ArchEvaluator.evaluate

    def failing(self, archs):
        return [
            Failure('OutOfMemoryError: no memory') if arch[0] == 1 else result
            for arch, result in zip(archs, evaluate(self, archs))
        ]

    monkeypatch.setattr(ArchEvaluator, 'evaluate', failing)
    search('some', seed=1)
    failed = [record for record in lines(tiny.folder / 'some')[1] if record['error']]
    assert failed and all(record['arch'][0] == 1 and record['score'] is None for record in failed)
    log = next((tiny.folder / 'some').glob('*/*.log')).read_text()
    assert log.count('failed: OutOfMemoryError: no memory') == len(failed)
    monkeypatch.setattr(
        ArchEvaluator,
        'evaluate',
        lambda self, archs: [Failure('RuntimeError: broken')] * len(archs),
    )
    with pytest.raises(TooManyFailuresError, match='3 archs in a row failed.*RuntimeError: broken'):
        search('all')
    with pytest.raises(InputError, match='not one of 2 archs could be evaluated'):
        search('few', num_archs=2)


def test_a_supernet_of_nan_has_no_winner(tiny, search, monkeypatch):
    """Every arch had a score of 0.0000, and the first was the winner."""
    broken = tiny.randomise

    def randomise(model, seed=0):
        broken(model, seed)
        for parameter in model.backbone.parameters():
            parameter.data.fill_(float('nan'))

    monkeypatch.setattr(tiny, 'randomise', randomise)
    with pytest.raises(
        TooManyFailuresError, match='3 archs in a row failed.*features of the backbone are not fin'
    ) as error:
        search('nan', num_archs=4)
    assert isinstance(error.value, InputError) and not (tiny.folder / 'nan/subnet.yaml').exists()


@pytest.mark.parametrize('score_samples', [None, 29])
def test_scores_that_are_all_equal_are_said_to_be(tiny, search, monkeypatch, score_samples):
    def evaluate(self, archs):
        return [{'accuracy/top1': 50.0}] * len(archs)

    search('differ', num_archs=8)
    monkeypatch.setattr(ArchEvaluator, 'evaluate', evaluate)
    search('equal', num_archs=8, score_samples=score_samples)
    said = (
        'accuracy/top1 is 50 for all 8 archs: the scores do not tell the archs apart, and the one '
        'named is any of them'
    )
    logs = {
        name: next((tiny.folder / name).glob('*/*.log')).read_text() for name in ('differ', 'equal')
    }
    assert logs['equal'].count(said) == logs['equal'].count('do not tell') == 1
    assert 'do not tell' not in logs['differ']
    names = yaml.safe_load((tiny.folder / 'differ/subnet.yaml').read_text())['candidates']
    stages = [names[:2], names[2:5], names[5:]]
    text = '\n'.join(f'    stage {i}: {", ".join(stage)}' for i, stage in enumerate(stages))
    assert text in logs['differ'], 'the winner in words'
    assert logs['equal'].index('subnet ') < logs['equal'].index(said), 'at the end'


def test_a_search_that_fails_before_its_first_arch_does_not_block_the_folder(
    tiny, search, monkeypatch
):
    with monkeypatch.context() as patch:
        interrupt(patch, 0)
        with pytest.raises(KeyboardInterrupt):
            search('one', num_archs=4)
    assert not (tiny.folder / 'one/history.jsonl').exists()
    search('one', num_archs=4, seed=1)
    assert len(lines(tiny.folder / 'one')[1]) == 4 + TOP_K


@pytest.mark.slow
def test_a_record_without_a_cost_is_refused(tiny, search):
    search('one', num_archs=4, score_samples=None)
    path = tiny.folder / 'one/history.jsonl'
    text = path.read_text()
    path.write_text(text.replace('"params"', '"parameters"', 1))
    with pytest.raises(InputError, match='history.jsonl: the record of index 0 has no params'):
        search('one', num_archs=4, score_samples=None, resume=True)


@pytest.mark.slow
def test_another_search_is_not_mixed_in(tiny, search):
    search('one', num_archs=4)
    history = tiny.folder / 'one' / 'history.jsonl'
    before = history.read_bytes()
    with pytest.raises(
        InputError,
        match=r'history.jsonl exists: resume that search \(--resume; in Python resume=True\) or',
    ):
        search('one', num_archs=4)
    for change, message in (
        (dict(seed=1), 'seed was 0 and is 1'),
        (dict(constraints=dict(macs=3e6)), 'constraints was .*3.5e.06.* and is .*3e.06'),
        (dict(seed_of_weights=1), r'supernet_checksum was \d+ and is \d+'),
        (
            dict(searcher=SEARCHERS['evolution'] | dict(population=3)),
            "searcher.type was 'random' and is 'evolution'; searcher.population was not set and",
        ),
        (dict(model=tiny.classifier(with_cp=True)), 'model.backbone.with_cp was not set and is'),
        (dict(held_out=48), 'dataset.indices was 64 and is 48'),
        (dict(score_samples=40), 'score_samples was 29 and is 40'),
        (dict(calibration_batches=2), 'calibration_batches was 1 and is 2'),
    ):
        with pytest.raises(InputError, match='begun by another search: ' + message):
            search('one', num_archs=4, resume=True, **change)
    assert history.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    'change', [dict(input_size=64), dict(autocast='bfloat16'), dict(held_out=48)]
)
def test_records_that_could_not_be_compared_are_not_mixed(search, change):
    """Costs at another input size, scores at another precision or of other samples."""
    search('one', num_archs=4)
    with pytest.raises(InputError, match='begun by another search'):
        search('one', num_archs=8, resume=True, **change)


@pytest.mark.slow
@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(searcher=dict(type='anealing')),
            r"searcher.type='anealing': no such searcher, expected one of \['evolution', 'nsga2', "
            r"'partition_tree', 'random'",
        ),
        (dict(searcher=dict()), 'searcher.type=None: no such searcher'),
        (
            dict(searcher=dict(type='evolution', populaton=4)),
            r"searcher.populaton: unknown key, expected 'population'\?",
        ),
        (
            dict(searcher=dict(type='evolution', population=4, tournament=5)),
            'tournament=5, expected 1 to population=4',
        ),
        (
            dict(score='accuracy/top5'),
            r"score='accuracy/top5' is not among the metrics evaluated: \['accuracy/top1'\]",
        ),
        (
            dict(constraints=dict(macs=1)),
            r'no arch of space .nasbench_macro. with macs <= 1 among .*; its archs have macs from '
            r'\S+ to \S+, quartiles \S+, \S+, \S+; expected for example macs=\S+, which a quarter '
            r'of them keep$',
        ),
        (dict(constraints=dict(latency=1)), "unknown cost 'latency', .*needs latency_table"),
        (dict(searcher=dict(type='nsga2', objectives=['latency'])), "unknown cost 'latency'"),
        (dict(race=dict(top_k=0)), r'\.race\.top_k=0: expected a whole number of at least 1'),
        (dict(autocast='fp16'), r"\.autocast='fp16': expected .*bfloat16"),
        (dict(latency_table='none.json'), 'none.json: no such file'),
        (dict(score_samples=0), r'\.score_samples=0: expected a whole number of at least 1'),
        (dict(num_archs=0), r'\.num_archs=0: expected a whole number of at least 1'),
        (
            dict(calibration_dataloader=dict(batch_size=8)),
            'arch_evaluation.calibration_dataloader.batch_size=8: BN .* expected at least 16',
        ),
    ],
)
def test_what_cannot_be_searched_is_named(tiny, search, change, message):
    if 'calibration_dataloader' in change:
        change = dict(calibration_dataloader=tiny.digits(**change['calibration_dataloader']))
    with pytest.raises(InputError, match=message):
        search('one', **change)
    assert not (tiny.folder / 'one' / 'subnet.yaml').exists()


def test_more_samples_than_are_held_out_are_all_of_them(search, monkeypatch):
    """Said once; and no arch is scored a second time on the same images."""
    said = []
    monkeypatch.setattr('pinas_mm.engine.loaders.warn_once', said.append)
    loop = search('one', score_samples=65, num_archs=3).test_loop
    assert said[-1:] == ['score_samples=65: Digits has 64 samples, all are used']
    records = (loop.out_dir / 'history.jsonl').read_text()
    assert loop.quick_evaluator is loop.whole_evaluator and '"final"' not in records


def test_a_subnet_cannot_be_searched(tiny, search):
    with pytest.raises(InputError, match='a supernet .* is needed'):
        search('one', model=tiny.classifier(arch='22222222'))


@pytest.mark.slow
def test_without_a_quick_score_nothing_is_scored_twice(tiny, search):
    runner = search('one', score_samples=None, num_archs=5)
    _, records = lines(tiny.folder / 'one')
    assert [record['stage'] for record in records] == ['search'] * 5
    assert list(runner.test_loop.winner.arch) in [record['arch'] for record in records]
    before = copy.deepcopy(runner.model.state_dict())
    other = tiny.randomise(tiny.runner(work_dir=str(tiny.folder / 'other')).model)
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items()), (
        'the supernet is left as it was'
    )


def test_a_smaller_space_ends_early(tiny, search):
    """Under this limit few archs are left; the winner is still written."""
    search(
        'one',
        num_archs=200,
        score_samples=None,
        constraints=dict(macs=1.05e6),
        searcher=dict(type='random', max_draws=20000),
    )
    _, records = lines(tiny.folder / 'one')
    assert 1 <= len(records) < 200 and (tiny.folder / 'one' / 'subnet.yaml').is_file()
    log = next((tiny.folder / 'one').glob('*/*.log')).read_text()
    assert (
        f'the space has no more archs with macs <= 1.05e+06: {len(records)} of 200 evaluated' in log
    )


def test_a_checkpoint_is_loaded_before_the_search(tiny, search):
    runner = tiny.searching(
        work_dir=str(tiny.folder / 'loaded'),
        val_dataloader=tiny.digits('held_out'),
        val_evaluator=dict(type='Accuracy', topk=(1,)),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(), calibration_batches=1),
        search_loop=dict(
            type='pinas_mm.SearchLoop', searcher=SEARCHERS['random'], num_archs=2, input_size=32
        ),
    )
    other = tiny.randomise(copy.deepcopy(runner.model), 3)
    save_checkpoint(tiny.folder / 'supernet.pth', other.state_dict(), {})
    runner._load_from = str(tiny.folder / 'supernet.pth')
    runner.test()
    assert (
        lines(tiny.folder / 'loaded')[0]['supernet_checksum']
        == checksum(other.state_dict())
        == checksum(runner.model.state_dict())
    )
    assert (
        isinstance(runner.test_loop, SearchLoop) and LOOPS.get('pinas_mm.SearchLoop') is SearchLoop
    )


def test_a_search_resumes_on_its_own_data_alone(search, tiny, monkeypatch):
    """The config is the same, the images are not."""
    held_out = dict(tiny.digits('held_out')['dataset'], indices=None)

    def run(resume=False):
        search('data', held_out=held_out, num_archs=4, score_samples=None, top_k=1, resume=resume)

    run()
    text = (tiny.folder / 'data/history.jsonl').read_bytes()
    read = Digits.load_data_list
    with monkeypatch.context() as patch:
        patch.setattr(Digits, 'load_data_list', lambda self: read(self)[:150])
        with pytest.raises(
            InputError,
            match=r'history.jsonl: begun by another search: data.val_dataloader.samples was 300 '
            r"and is 150; data.val_dataloader.contents was '\w+' and is '\w+'",
        ):
            run(resume=True)
    run(resume=True)
    assert (tiny.folder / 'data/history.jsonl').read_bytes() == text
    assert not (tiny.folder / 'data/.lock').exists()


def test_a_search_resumes_whatever_way_its_types_are_written(search, tiny):
    """A class was kept as its repr, and a function (SeededSplit) with its address in memory."""
    held_out = tiny.digits('held_out')
    loop = dict(num_archs=4, score_samples=None, top_k=1)

    def run(searcher, dataset, backbone, resume=False):
        split = dict(type=dataset, dataset=held_out['dataset'], held_out=20, part='learning')
        runner = search(
            'ways',
            searcher=dict(type=searcher),
            model=tiny.classifier(type=backbone),
            calibration_dataloader=dict(tiny.digits(), dataset=split),
            resume=resume,
            **loop,
        )
        return runner.test_loop.out_dir / 'history.jsonl'

    text = run('random', 'pinas_mm.SeededSplit', 'pinas_mm.SearchableMacroNet').read_text()
    for ways in (
        (
            'pinas_mm.searching.searchers.random.RandomSearcher',
            'pinas_mm.datasets.SeededSplit',
            'pinas_mm.models.backbones.SearchableMacroNet',
        ),
        (RandomSearcher, SeededSplit, SearchableMacroNet),
    ):
        assert run(*ways, resume=True).read_text() == text


@TRANSFORMS.register_module()
class OtherChannels(BaseTransform):
    """An image with another number of channels, made of its first."""

    def __init__(self, channels):
        self.channels = channels

    def transform(self, results):
        results['img'] = results['img'][..., :1].repeat(self.channels, axis=-1)
        return results


@pytest.mark.parametrize('channels', [1, 4])
def test_images_with_other_channels_are_trained_searched_and_handed_over(
    search, tiny, channels, tmp_path
):
    model = tiny.classifier(in_channels=channels)
    model['data_preprocessor'] = dict(
        num_classes=10, mean=[127.5] * channels, std=[127.5] * channels, to_rgb=False
    )
    loader = tiny.digits(pipeline=[dict(type='OtherChannels', channels=channels)])
    tiny.training(
        model=model,
        loader=loader,
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
        work_dir=str(tmp_path / 'train'),
    ).train()
    runner = search(
        'searched',
        model=model,
        calibration_dataloader=loader,
        held_out=loader['dataset'],
        num_archs=2,
        ask_size=2,
        top_k=1,
    )
    folder = runner.test_loop.out_dir
    subnet = SubnetFile.read(folder / 'subnet.yaml')
    assert subnet.in_channels == channels
    exported, backbone = subnet_backbone(folder / 'subnet.yaml', folder / 'subnet.pth')
    assert exported.model.in_channels == backbone.in_channels == channels
    exported, classifier = subnet_classifier(
        runner.cfg, folder / 'subnet.yaml', folder / 'subnet.pth'
    )
    assert exported.model.backbone.in_channels == classifier.backbone.in_channels == channels
    assert subnet.costs['params'] == sum(parameter.numel() for parameter in classifier.parameters())


def test_a_search_by_a_latency_table_that_tells_nothing_warns_once(search, tmp_path):
    tables = [[1.0, 2.0, 3.0]] * 8
    check = dict(median_error=0.58, rank_correlation=-0.77)
    Latency('nasbench_macro', 0.25, {}, 1.0, tables, check).write(tmp_path / 'latency.json')
    runner = search(
        'doubted', num_archs=2, ask_size=2, latency_table=str(tmp_path / 'latency.json')
    )
    log = next(Path(runner.work_dir).glob('*/*.log')).read_text()
    assert log.count('median error of 58% and a rank correlation of -0.77; expected at most') == 1


def test_a_sum_of_a_metric_and_a_score_that_trains_nothing(tiny, search, monkeypatch):
    """The parts are what each is alone; resumed, the search ends as if never stopped. The names of
    all parts would be longer than the axes of the plots."""
    score = {'accuracy/top1': 1, 'naswot': 2}
    axes = []
    for plot in ('plot_search_curve', 'plot_pareto'):
        monkeypatch.setattr(
            f'pinas_mm.engine.search_loop.{plot}', lambda records, name, *rest: axes.append(name)
        )
    runner = search('sum', score=score, top_k=2)
    _, records = lines(tiny.folder / 'sum')
    found = [record for record in records if record['stage'] == 'search']
    loop = runner.test_loop
    naswot = training_free_scores(
        loop.backbone,
        [tuple(record['arch']) for record in found],
        first_images(runner.model, tiny.digits(shuffle=True), 0),
        ['naswot'],
    )['naswot']
    accuracy = np.array([record['metrics']['accuracy/top1'] for record in found])
    assert [record['metrics']['naswot'] for record in found] == naswot.tolist()
    expected = sum(  # a quarter of the archs would be fewer than the first ASK
        weight * Standing.among(values[:ASK])(values)
        for weight, values in ((1, accuracy), (2, naswot))
    )
    assert [record['score'] for record in found] == pytest.approx(expected)
    assert json.loads((tiny.folder / 'sum/pareto.json').read_text())['objectives'][0] == (
        'accuracy/top1 + 2 naswot'
    )
    assert axes == ['score', 'score']
    search('sum', score=score, top_k=2, resume=True)
    assert lines(tiny.folder / 'sum')[1] == records


def test_a_search_by_scores_that_train_nothing_runs_no_supernet(tiny, search, monkeypatch):
    def never(*args):
        raise AssertionError('the supernet runs')

    monkeypatch.setattr(ArchEvaluator, '_recalibrate', never)
    search('free', score='naswot')
    _, records = lines(tiny.folder / 'free')
    assert len(records) == NUM_ARCHS and all(list(r['metrics']) == ['naswot'] for r in records)
    best = max(records, key=lambda record: record['score'])
    assert SubnetFile.read(tiny.folder / 'free/subnet.yaml').arch == tuple(best['arch'])


def test_the_forecast_of_a_search_that_runs_no_supernet(tiny):
    runner = tiny.searching(
        work_dir=str(tiny.folder / 'free'),
        val_dataloader=tiny.digits('held_out'),
        val_evaluator=dict(type='Accuracy', topk=(1,)),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(), calibration_batches=1),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=SEARCHERS['random'],
            num_archs=100,
            input_size=32,
            score=dict(naswot=1, depth=1),
            trained=False,
        ),
    )
    found = runner.build_test_loop(runner.cfg.test_cfg).forecast()
    # 25 archs first, then 8 at a time.
    assert (found.archs, found.asked_batches, found.data_batches) == (100, 11, (0, 0))
    assert 0 < found.seconds < 60 and found.disk_mb < 0.1


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(score={'score/neg_loss': 1, 'naswot': 1}), "score='score/neg_loss' is not among the"),
        (dict(score={}), "score={}: expected a metric's name"),
        (
            dict(score={'accuracy/top1': 1}, race=dict(top_k=1)),
            'race: score=.* is a sum: expected the name of one metric',
        ),
        (
            dict(score='naswot', race=dict(top_k=1)),
            "race: score='naswot' looks at no image of val_dataloader",
        ),
        (
            dict(score={'accuracy/top1': 1, 'naswott': 1}),
            "score='naswott' is not among .*; scores that train nothing are .*'naswot'",
        ),
    ],
)
def test_wrong_scores_are_named(search, change, message):
    with pytest.raises(InputError, match=message):
        search('wrong', **change)
