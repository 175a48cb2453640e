import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

import pinas_mm as nas
from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.costs import Constraints, measure_costs
from pinas_mm.engine.search_config import search_config
from pinas_mm.engine.search_loop import SearchLoop
from pinas_mm.errors import InputError
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile

SPACE = get_space('nasbench_macro')
SEARCH = dict(
    archs=6, limits=dict(macs=3.5e6), searcher='random', settings=dict(ask_size=2, top_k=2)
)


def interrupt(monkeypatch, after):
    """Ctrl-C while the asked batch after so many is scored."""
    score, calls = ArchEvaluator._score, []

    def scoring(self, *args):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return score(self, *args)

    monkeypatch.setattr(ArchEvaluator, '_score', scoring)


def history(folder):
    return [json.loads(line) for line in (folder / 'history.jsonl').read_text().splitlines()]


@pytest.mark.slow
def test_it_is_the_search_of_the_tool(supernet, config, tmp_path, capfd):
    """The same files as mmengine's Runner makes of the config with search_loop."""
    result = nas.search(supernet, **SEARCH, score='accuracy/top1', work_dir='ours')
    assert capfd.readouterr().out == '' and result.complete and len(result) == 6
    loop = dict(
        type='pinas_mm.SearchLoop',
        searcher=dict(type='random'),
        num_archs=6,
        constraints=dict(macs=3.5e6),
        input_size=(32, 32),
        score='accuracy/top1',
        ask_size=2,
        top_k=2,
    )
    by_tool = search_config(Config(config.to_dict() | dict(search_loop=loop)))
    by_tool.work_dir, by_tool.experiment_name = str(tmp_path / 'theirs'), 'api theirs'
    runner = Runner.from_cfg(by_tool)
    runner.model.to(memory_format=torch.channels_last)
    runner.model.load_state_dict(supernet.model.state_dict())
    runner.test()
    for name in ('history.jsonl', 'pareto.json', 'subnet.yaml'):
        assert (tmp_path / 'ours' / name).read_text() == (tmp_path / 'theirs' / name).read_text()
    assert result.best.arch == runner.test_loop.winner.arch
    assert result.best.score == runner.test_loop.winner.score

    # The table, from the history line by line.
    table = result.table()
    lines = [line for line in history(tmp_path / 'ours') if line.get('stage') == 'search']
    assert list(table.index) == [line['index'] for line in lines] == list(range(6))
    front = {
        tuple(line['arch'])
        for line in json.loads((tmp_path / 'ours/pareto.json').read_text())['front']
    }
    for line, (_, row) in zip(lines, table.iterrows()):
        names = [SPACE.candidates[slot][choice].name for slot, choice in enumerate(line['arch'])]
        assert row.arch == ', '.join(names) and row.code == ''.join(map(str, line['arch']))
        assert row.score == line['score'] == row['accuracy/top1'] and row.error is None
        assert all(row[name] == value for name, value in line['costs'].items())
        assert row.front == (tuple(line['arch']) in front) and row.macs <= 3.5e6
    assert table.front.any() and np.isnan(table.final).all()  # score_samples was not given


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_there_and_a_resume_ends_as_an_undisturbed_search(
    supernet, monkeypatch, tmp_path, capfd
):
    whole = nas.search(supernet, **SEARCH, work_dir='whole')
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        with pytest.warns(UserWarning, match=r"stopped: parts .*work_dir='parts', resume=True\)"):
            part = nas.search(supernet, **SEARCH, work_dir='parts')
    assert not part.complete and len(part) == 4 and 'stopped' in repr(part)
    assert part.table().equals(whole.table().iloc[:4].assign(front=part.table().front))
    best = part.best
    assert best.code in list(part.table().code) and best.score == max(
        part.table().score[part.table().code == best.code]
    )
    assert not (tmp_path / 'parts/subnet.yaml').exists()
    assert best.model()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    resumed = nas.search(supernet, **SEARCH, work_dir='parts', resume=True)
    assert resumed.complete and resumed.table().equals(whole.table())
    for name in ('history.jsonl', 'subnet.yaml', 'pareto.json'):
        assert (tmp_path / 'whole' / name).read_bytes() == (tmp_path / 'parts' / name).read_bytes()
    assert capfd.readouterr().out == ''


@pytest.mark.slow
def test_stopped_before_the_first_score_there_is_no_best(supernet, monkeypatch):
    interrupt(monkeypatch, 0)
    with pytest.warns(UserWarning, match='stopped'):
        result = nas.search(supernet, **SEARCH)
    assert len(result) == 0 and result.table().empty and 'best' not in repr(result)
    assert list(result.table())[:4] == ['arch', 'code', 'score', 'final']
    with pytest.raises(InputError, match='no arch has a score yet; go on with .*resume=True'):
        result.best  # noqa: B018
    assert result.work_dir.name == 'supernet'  # the config has no name


@pytest.mark.slow
def test_stopped_before_it_began_it_has_nothing_of_another_search(supernet, monkeypatch):
    few = dict(searcher='random', work_dir='one')
    nas.search(supernet, archs=2, **few)
    resumed = nas.search(supernet, archs=2, **few, resume=True)
    assert resumed.complete and len(resumed) == 2

    def check_metrics(loop):
        raise KeyboardInterrupt

    monkeypatch.setattr(SearchLoop, 'check_metrics', check_metrics)
    with pytest.warns(UserWarning, match='stopped before an arch was evaluated'):
        other = nas.search(supernet, archs=4, **few, seed=7)
    assert len(other) == 0 and not other.complete and other.table().empty


@pytest.mark.slow
def test_the_folder_is_that_of_the_config(config, checkpoint, tmp_path):
    loop = dict(type='pinas_mm.SearchLoop', searcher=dict(type='random'), num_archs=2)
    loop |= dict(input_size=32, out_dir=str(tmp_path / 'found'))
    own = nas.supernet(Config(config.to_dict() | dict(search_loop=loop)), checkpoint)
    result = nas.search(own, work_dir='log')
    assert result.work_dir == tmp_path / 'found' and (result.work_dir / 'subnet.yaml').exists()
    assert '<html' in result.report().read_text()


@pytest.mark.slow
def test_the_best_is_scored_again_and_any_arch_is_a_subnet(supernet):
    settings = SEARCH['settings'] | dict(score_samples=20)
    result = nas.search(supernet, **SEARCH | dict(settings=settings))
    table = result.table()
    assert table.final.notna().sum() == 2
    best = table[table.code == result.best.code].iloc[0]
    assert result.best.score == best.final
    by_name = result.subnet(table.arch[3])
    assert by_name.code == table.code[3]
    never = next(
        code for code in ('22222222', '11111111', '00000000') if code not in list(table.code)
    )
    other = result.subnet(never)
    assert other.score is None and other.metrics == {}
    model = supernet.model
    assert other.costs == measure_costs(model, 32).arch_costs(tuple(map(int, never)))


@pytest.mark.slow
def test_the_weights_that_the_model_has_now_are_searched(config, checkpoint, tmp_path):
    own = nas.supernet(config, checkpoint)
    with torch.no_grad():
        own.model.head.fc.weight.mul_(-1)
    nas.search(own, archs=2, searcher='random', work_dir='own')
    state = torch.load(tmp_path / 'own/subnet.pth', weights_only=True)['state_dict']
    assert torch.equal(state['head.fc.weight'], own.model.head.fc.weight.cpu())
    with pytest.raises(InputError, match='begun by another search: supernet_checksum was'):
        nas.search(
            nas.supernet(config, checkpoint),
            archs=2,
            searcher='random',
            work_dir='own',
            resume=True,
        )


@pytest.mark.slow
def test_what_the_config_says_counts_where_nothing_is_given(config, checkpoint):
    loop = dict(
        type='pinas_mm.SearchLoop',
        searcher=dict(type='random'),
        num_archs=3,
        input_size=48,
        constraints=dict(macs=(1e6, 9e6)),
    )
    own = nas.supernet(Config(config.to_dict() | dict(search_loop=loop)), checkpoint)
    result = nas.search(own, seed=4)
    assert len(result) == 3 and result.input_size == (48, 48)
    assert SubnetFile.read(result.work_dir / 'subnet.yaml').seed == 4
    limits = Constraints(measure_costs(own.model, 48), macs=(1e6, 9e6))
    assert limits.mask([tuple(map(int, code)) for code in result.table().code]).all()


def test_the_programs_generators_and_scope_stay_as_they_are(supernet):
    torch.manual_seed(5)
    expected = torch.get_rng_state()
    np.random.seed(6)
    number = np.random.get_state()[1].copy()
    with DefaultScope.overwrite_default_scope('mmdet'):
        nas.search(supernet, archs=2, searcher='random')
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'
    assert torch.equal(torch.get_rng_state(), expected)
    assert np.array_equal(np.random.get_state()[1], number)


def test_the_bar_is_on_standard_error_and_only_where_it_is_asked_for(supernet, capfd):
    few = dict(archs=2, searcher='random')
    nas.search(supernet, **few, work_dir='silent')
    out, err = capfd.readouterr()
    assert out == '' and '2/2' not in err
    nas.search(supernet, **few, work_dir='shown', progress=True)
    out, err = capfd.readouterr()
    assert out == '' and '2/2' in err and 'best' in err


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(archs=0), 'archs=0: expected a whole number of at least 1, such as 200'),
        (dict(archs=True), 'archs=True: expected'),
        (dict(limits=4e6), r'limits=4000000.0: expected dict\(macs=4e6\)'),
        (dict(limits=dict(flops=1)), "limits: unknown cost 'flops', expected one of "),
        (dict(limits=dict(macs='low')), "limits.macs='low': expected the most, or the least"),
        (dict(limits=dict(macs=1)), '^limits: no arch of space .* its archs have macs from'),
        (dict(score='acc'), r"score='acc' is not among the metrics evaluated: \['accuracy/top1'\]"),
        (dict(searcher='anealing'), "^searcher.type='anealing': no such searcher"),
        (dict(settings=dict(top=3)), r"^settings.top: unknown key, expected 'top_k'\?"),
        (dict(settings=dict(num_archs=3)), 'settings: num_archs is an argument .*: archs=...'),
        (dict(settings=dict(resume=True)), 'settings: resume is set by nas.search; leave it out'),
        (dict(seed=-1), '^seed=-1: expected'),
    ],
)
def test_what_does_not_fit_is_named_by_its_argument(supernet, change, message):
    with pytest.raises(InputError, match=message):
        nas.search(supernet, **SEARCH | change)


def test_what_is_no_supernet_is_named(config):
    with pytest.raises(InputError, match=r'supernet=Config: expected what nas.supernet\(config'):
        nas.search(config)
    with pytest.raises(
        InputError, match="score='accuracy/top1' needs trained weights: give nas.supernet a check"
    ):
        nas.search(nas.supernet(config), archs=2)


@pytest.mark.slow
def test_a_search_is_not_replaced_by_another(supernet):
    nas.search(supernet, archs=2, searcher='random')
    with pytest.raises(InputError, match=r'history.jsonl exists: .*in Python resume=True\)'):
        nas.search(supernet, archs=2, searcher='random')


@pytest.mark.slow
def test_a_score_that_trains_nothing_needs_no_weights(config):
    result = nas.search(nas.supernet(config), archs=3, score='naswot', searcher='random')
    assert result.complete and result.table().naswot.notna().all()
    with pytest.raises(InputError, match='the network of arch .* needs trained weights'):
        result.best.model()


@pytest.mark.slow
def test_a_new_head_is_not_handed_over_as_trained(checkpoint, images, tmp_path):
    """A backbone's checkpoint, whose classifier is random."""
    state = load_checkpoint(checkpoint)['state_dict']
    torch.save({key: value for key, value in state.items() if 'head' not in key}, 'backbone.pth')
    own = nas.supernet(
        'nasbench_macro',
        'backbone.pth',
        train=images[0],
        val=images[1],
        overrides={'model.head.num_classes': 10, 'model.backbone.widen_factor': 0.25},
    )
    result = nas.search(own, archs=2, score='naswot', searcher='random', work_dir='naswot')
    assert (tmp_path / 'naswot/subnet.yaml').exists()
    assert not (tmp_path / 'naswot/subnet.pth').exists()
    for call in (
        result.best.model,
        lambda: result.best.save('found/subnet.pth'),
        lambda: result.best.export('best.pt2'),
    ):
        with pytest.raises(InputError, match='but backbone.pth has no head.fc.weight, head.fc.bi'):
            call()
    assert not (tmp_path / 'found').exists()


def test_the_report_is_of_the_work_dir(supernet, monkeypatch, tmp_path):
    pytest.importorskip('pinas_mm.visualization.search_report')
    result = nas.search(supernet, archs=2, searcher='random')
    assert result.report('report.html') == Path('report.html')
    assert '<html' in (tmp_path / 'report.html').read_text()


@pytest.mark.slow
def test_the_report_names_the_users_own_datasets(config, checkpoint, images, tmp_path):
    """What the example of pinas_mm.api does."""
    train, val = images
    own = nas.supernet(config, checkpoint, train=train, val=val)
    page = nas.search(own, archs=2, searcher='random').report().read_text()
    shown = 'TorchImages(dataset=&#x27;Subset&#x27;, samples=64)'
    assert f'{shown}; 1 batches' in page and page.count(shown) > 1
