"""Does everything that a training step and an evaluation compute stay on the GPU? On a fake one:
see tiny/fake_gpu.py."""

import pytest
import torch
from fake_gpu import GPU, fake_gpu, numbers_made_up
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from mmengine.utils import apply_to
from mmpretrain.structures import DataSample

from pinas_mm.engine.hooks.dsnas_hook import parameter_states
from pinas_mm.engine.hooks.hand_over_hook import load_parameter_states
from pinas_mm.evaluation import LabelLikelihood
from pinas_mm.ranking.consistency import measure_consistency
from pinas_mm.ranking.training_free import TRAINING_FREE
from pinas_mm.scoring.bn_recalibration import supernet_borrowed
from pinas_mm.strategies import DSNASOptimWrapper
from pinas_mm.strategies.subnet_aware import SubnetAwareOptimWrapper

ARCH = (0, 1, 2, 0, 1, 2, 0, 1)


def images(count=8, size=32):
    return torch.zeros(count, 3, size, size)


def labelled(count=8):
    return dict(
        inputs=images(count), data_samples=[DataSample().set_gt_label(i % 10) for i in range(count)]
    )


def sgd(model, cls=OptimWrapper, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    return cls(optimizer=optimizer, **kwargs)


def step(model, data, wrapper):
    """Two train steps: the second has momentum. Everything logged is on the GPU."""
    model.train()
    for _ in range(2):
        logged = model.train_step(data, wrapper)
    assert logged['loss'].device == GPU


def test_a_fake_gpu_tells_devices_apart_and_tells_no_number():
    with fake_gpu():
        here, there = torch.ones(2), torch.ones(2, device=GPU)
        with pytest.raises(RuntimeError, match='different devices'):
            here + there
        with pytest.raises(Exception, match='data-dependent|_local_scalar_dense'):
            int(there.sum())


@pytest.mark.parametrize('decay_inactive', [False, True])
def test_a_pinas_step_stays_on_the_gpu_and_python_waits_for_nothing(tiny, decay_inactive):
    model = MODELS.build(tiny.pinas(decay_inactive=decay_inactive))
    with fake_gpu(model):
        step(model, dict(inputs=[images() for _ in range(4)], data_samples=None), sgd(model))
    assert model.step == 2


STRATEGIES = dict(
    fair=dict(type='pinas_mm.FairStrategy'),
    sandwich=dict(type='pinas_mm.SandwichStrategy', input_size=32),
    supervised_pi=dict(type='pinas_mm.SupervisedPiStrategy', initial_consistency=0.5, ramp_steps=3),
)


@pytest.mark.parametrize('name', STRATEGIES)
def test_the_steps_of_strategies_stay_on_the_gpu_and_python_waits_for_nothing(tiny, name):
    model = MODELS.build(STRATEGIES[name] | dict(model=tiny.classifier()))
    with fake_gpu(model):
        step(model, labelled(), sgd(model))


@pytest.mark.parametrize('slot', [None, 0])
def test_subnet_aware_steps_stay_on_the_gpu(tiny, slot):
    model = MODELS.build(dict(type='pinas_mm.FairStrategy', model=tiny.classifier()))
    with fake_gpu(model):
        wrapper = sgd(model, SubnetAwareOptimWrapper, input_size=32, momentum_slot=slot)
        wrapper.initialize_count_status(model, 0, 4)
        step(model, labelled(), wrapper)


@pytest.mark.parametrize('learning', [False, True])
def test_a_dsnas_step_takes_nothing_but_its_gates_off_the_gpu(tiny, learning):
    """The logits are on the CPU: the gradients of the gates go there, and the loss."""
    model = MODELS.build(tiny.classifier())
    with fake_gpu(model):
        wrapper = sgd(model, DSNASOptimWrapper)
        wrapper.initialize_count_status(model, 0, 4)
        wrapper.draw_arch = lambda rank: ARCH
        wrapper.learning = learning
        with numbers_made_up():
            step(model, labelled(), wrapper)


@pytest.mark.parametrize('alignment', ['DANN', 'CDAN', 'MMD'])
def test_alignment_of_domains_stays_on_the_gpu(tiny, alignment):
    config = tiny.classifier()
    config.pop('data_preprocessor')
    kwargs = {} if alignment == 'MMD' else dict(ramp_steps=4)
    if alignment == 'CDAN':
        kwargs |= dict(max_product=8, entropy_weighting=True)
    model = MODELS.build(
        config
        | dict(
            type='pinas_mm.DomainAdaptiveClassifier',
            alignment=dict(type=f'pinas_mm.{alignment}', **kwargs),
        )
    )
    model.backbone.set_arch(ARCH)
    with fake_gpu(model):
        samples = [DataSample(metainfo=dict(domain=domain)) for domain in ['source', 'target'] * 4]
        for sample in samples[::2]:
            sample.set_gt_label(1)
        step(model, dict(inputs=images(), data_samples=samples), sgd(model))


@pytest.mark.parametrize('head', ['CoralAgeHead', 'ExpectedAgeHead'])
def test_age_heads_learn_and_predict_on_the_gpu(tiny, head):
    config = tiny.classifier()
    config['head'] = dict(type=f'pinas_mm.{head}', in_channels=320, ages=(0, 20))
    model = MODELS.build(config)
    model.backbone.set_arch(ARCH)
    with fake_gpu(model):
        with numbers_made_up():  # ages outside of the range are named
            step(model, labelled(), sgd(model))
        predicted = model.eval().val_step(labelled())
        assert {sample.pred_age.device for sample in predicted} == {GPU}


@pytest.mark.parametrize('fold_bn', [False, True])
def test_archs_are_recalibrated_and_scored_on_the_gpu(tiny, fold_bn):
    model = MODELS.build(tiny.classifier())
    archs = [ARCH, (0, 1, 2, 2, 1, 2, 0, 1)]
    metric = LabelLikelihood()
    with fake_gpu(model):
        with supernet_borrowed(model, fold_bn=fold_bn) as supernet:
            with numbers_made_up():
                for _ in supernet.recalibrate(archs, [labelled(16)]):
                    pass
            supernet.next_batch()
            batch = labelled(16)
            for arch in archs:
                supernet.set_arch(arch)
                scores = model.val_step(batch)
                assert {sample.pred_score.device for sample in scores} == {GPU}
        samples = [sample.to_dict() for sample in scores]
        with numbers_made_up():
            metric.process(None, samples)


@pytest.mark.parametrize('name', sorted(TRAINING_FREE))
def test_training_free_scores_are_computed_on_the_gpu(tiny, name):
    backbone = MODELS.build(tiny.classifier()).backbone
    score = TRAINING_FREE[name](backbone, images(16))
    tensors = {key: value for key, value in vars(score).items() if torch.is_tensor(value)}
    network = [score.network] if hasattr(score, 'network') else []
    with fake_gpu(*network), numbers_made_up():
        for key, value in tensors.items():
            setattr(score, key, torch.zeros(value.shape, dtype=value.dtype, device=GPU))
        score(ARCH)


def test_shifts_are_measured_on_the_gpu(tiny):
    model = MODELS.build(tiny.classifier())
    archs = [(1, 1, 2, 0, 1, 2, 0, 1), (1, 1, 2, 2, 1, 2, 0, 1)]
    with fake_gpu(model), numbers_made_up(truth=True):  # the loss is finite
        measure_consistency(model, labelled(16), archs)


def test_what_an_optimiser_keeps_comes_back_where_it_belongs():
    """Adam counts its steps on the CPU: on the GPU it would read them at every step."""
    net = torch.nn.Linear(2, 2)
    with fake_gpu(net):
        adam = torch.optim.Adam(net.parameters())
        net(torch.zeros(1, 2, device=GPU)).sum().backward()
        adam.step()
        states = parameter_states(net, adam, ['weight', 'bias'])
        assert {value.device.type for state in states.values() for value in state.values()} == {
            'cpu'
        }
        again = torch.optim.Adam(net.parameters(), lr=0.5)
        load_parameter_states(net, again, states)
        assert {name: value.device.type for name, value in again.state[net.bias].items()} == dict(
            step='cpu', exp_avg=GPU.type, exp_avg_sq=GPU.type
        )
        assert again.param_groups[0]['lr'] == 0.5


def test_the_logits_resume_on_the_cpu(tiny):
    """mmengine loads the checkpoint that it resumes from onto the GPU."""
    model = MODELS.build(tiny.classifier())
    with fake_gpu(model):
        wrapper = sgd(model, DSNASOptimWrapper)
        wrapper.initialize_count_status(model, 0, 4)
        for row in wrapper.logits.rows:
            row.grad = torch.zeros_like(row)
        wrapper.logits_optimizer.step()
        state = apply_to(
            wrapper.state_dict(),
            lambda value: isinstance(value, torch.Tensor),
            lambda tensor: tensor.to(GPU),
        )
        wrapper.load_state_dict(state)
    kept = wrapper.logits_optimizer.state.values()
    assert {value.device.type for state in kept for value in state.values()} == {'cpu'}
    assert {tensor.device.type for tensor in [*wrapper.logits.rows, wrapper.signal]} == {'cpu'}
