import pytest

from pinas_mm.errors import InputError

HOOKS = [dict(type='pinas_mm.ArchSamplingHook'), dict(type='pinas_mm.LabelRangeHook')]


@pytest.mark.parametrize('num_classes', [7, 12])
def test_a_head_of_another_number_of_classes_is_named(tiny, num_classes):
    model = tiny.classifier()
    model['head']['num_classes'] = num_classes
    with pytest.raises(InputError, match=rf'num_classes={num_classes} of LinearClsHead: Digits has 10 classes \(0, 1, 2, 3, 4, ...\)'):
        tiny.training(model=model, custom_hooks=HOOKS).train()


def test_a_head_that_fits_and_a_model_without_one_train(tiny):
    tiny.training(custom_hooks=HOOKS).train()
    runner = tiny.training(loader=tiny.four_views(), model=tiny.pinas(), custom_hooks=HOOKS[1:])
    runner.train()
    assert runner.iter == 4
