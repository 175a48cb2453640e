import pytest

from pinas_mm.errors import InputError
from pinas_mm.searching.history import read_history
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO
from pinas_mm.spaces.subnet_file import SubnetFile

NUM_ARCHS = 4


SAMPLING = dict(type='pinas_mm.ArchSamplingHook')


def searching(tiny, interval=None, **search):
    """What a training config needs for the hook."""
    return dict(
        custom_hooks=[SAMPLING, dict(type='pinas_mm.ArchSearchHook', interval=interval)],
        val_dataloader=tiny.digits('held_out', indices=32),
        val_evaluator=dict(type='Accuracy', topk=(1,)),
        val_cfg=dict(type='pinas_mm.ArchValLoop', num_archs=1),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(), calibration_batches=1),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=dict(type='random'),
            num_archs=NUM_ARCHS,
            input_size=32,
        )
        | search,
    )


def winners(tiny):
    """The subnet of every search in the work dir, checked against its own history."""
    found = {}
    for folder in tiny.folder.glob('search_epoch_*'):
        subnet = SubnetFile.read(folder / 'subnet.yaml')
        _, records, _ = read_history(folder / 'history.jsonl', NASBENCH_MACRO)
        assert len(records) == NUM_ARCHS and (folder / 'subnet.pth').is_file()
        (score,) = [record.score for record in records if record.arch == subnet.arch]
        assert subnet.scores['accuracy/top1'] == score
        found[folder.name] = subnet
    return found


@pytest.mark.slow
def test_searches_once_after_training(tiny):
    runner = tiny.training(epochs=2, **searching(tiny))
    seen = []
    runner.register_hook(
        tiny.Record(after_train_epoch=lambda runner: seen.append(list(winners(tiny))))
    )
    runner.train()
    assert seen == [[], []] and list(winners(tiny)) == ['search_epoch_2']


@pytest.mark.slow
def test_searches_every_interval_epochs_and_training_goes_on_as_without(tiny):
    runner = tiny.training(epochs=4, loader=tiny.digits(indices=32), **searching(tiny, interval=2))
    runner.train()
    assert sorted(winners(tiny)) == ['search_epoch_2', 'search_epoch_4']

    plain = tiny.training(
        epochs=4,
        loader=tiny.digits(indices=32),
        custom_hooks=[SAMPLING],
        work_dir=str(tiny.folder / 'plain'),
    )
    plain.train()
    for (name, ours), theirs in zip(
        runner.model.state_dict().items(), plain.model.state_dict().values()
    ):
        assert ours.equal(theirs), name


@pytest.mark.slow
def test_the_last_epoch_is_searched_where_the_interval_does_not_reach_it_only_if_asked(tiny):
    tiny.training(epochs=3, loader=tiny.digits(indices=16), **searching(tiny, interval=2)).train()
    assert list(winners(tiny)) == ['search_epoch_2']


def test_a_misspelt_search_argument_is_an_error(tiny):
    runner = tiny.training(**searching(tiny, searcher=dict(type='random', sed=1)))
    with pytest.raises(InputError, match='sed'):
        runner.train()


def test_a_score_that_no_metric_gives_is_named_before_training(tiny):
    runner = tiny.training(**searching(tiny, score='accuracy/top5'))
    with pytest.raises(InputError, match="score='accuracy/top5' is not among the metrics"):
        runner.train()
    assert runner.iter == 0
