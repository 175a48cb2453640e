"""What test_active_gradients.py runs on two ranks."""

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

import pinas_mm  # noqa: F401
from pinas_mm.engine import ActiveGradientDataParallel, active_gradients
from pinas_mm.models import SearchableMacroNet
from pinas_mm.spaces import arch_rng

# A small LR and double precision: a rounding difference must not grow over the steps through BN
# over four images.
LR, MICRO_STEPS, PINAS_STEPS, BATCH = 0.001, 4, 5, 4


def classifier(seed=0):
    init_default_scope('mmpretrain')
    torch.manual_seed(seed)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='pinas_mm.SearchableMacroNet', widen_factor=0.25, zero_init_residual=False
            ),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=320),
        )
    )
    model.init_weights()
    return in_double(model)


def in_double(model):
    for module in model.modules():
        if isinstance(module, SearchableMacroNet):
            module.register_forward_pre_hook(
                lambda module, images: images[0].double()
            )  # mmpretrain's preprocessor ends in float
    return model.double().train()


def pinas(seed=0):
    init_default_scope('mmpretrain')
    torch.manual_seed(seed)
    model = MODELS.build(
        dict(
            type='pinas_mm.PiNAS',
            queue_len=24,
            feat_dim=16,
            momentum=0.9,
            backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25),
            neck=dict(
                type='NonLinearNeck',
                in_channels=320,
                hid_channels=32,
                out_channels=16,
                with_last_bn=False,
                norm_cfg=dict(type='BN1d'),
            ),
            head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2),
        )
    )
    model.init_weights()
    return model.train()


def strategy(kind, seed=0):
    init_default_scope('mmpretrain')
    torch.manual_seed(seed)
    inner = dict(
        type='ImageClassifier',
        backbone=dict(
            type='pinas_mm.SearchableMacroNet', widen_factor=0.125, zero_init_residual=False
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=160),
    )
    return in_double(
        MODELS.build(
            dict(type=f'pinas_mm.{kind}', model=inner)
            | (dict(input_size=32) if kind == 'SandwichStrategy' else {})
            | (dict(ramp_steps=0) if kind == 'SupervisedPiStrategy' else {})
        )
    )


def labelled(rank, step):
    generator = torch.Generator().manual_seed(100 * rank + step)
    images = torch.randn(BATCH, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (BATCH,), generator=generator)
    return dict(
        inputs=images, data_samples=[DataSample().set_gt_label(int(label)) for label in labels]
    )


def views(rank, step):
    generator = torch.Generator().manual_seed(100 * rank + step)
    return dict(
        inputs=[torch.randn(BATCH, 3, 32, 32, generator=generator) for _ in range(4)],
        data_samples=None,
    )


def arch(model, step):
    return model.backbone.space.sample(arch_rng(0, step))


def copies(tensors):
    return {name: value.clone() for name, value in tensors}


def optimiser(model, updates, wrapper=OptimWrapper, **kwargs):
    """A real optimiser wrapper; ``updates`` gets the gradients that each update is made with."""
    sgd = torch.optim.SGD(model.parameters(), lr=LR)
    sgd.register_step_pre_hook(
        lambda *_: updates.append(
            {
                name: None if p.grad is None else p.grad.clone()
                for name, p in model.named_parameters()
            }
        )
    )
    return wrapper(sgd, **kwargs)


def train_classifier(accumulative_counts, rank):
    """The gradients of each update, the parameters after them, and how often the ranks averaged."""
    model, updates, calls = ActiveGradientDataParallel(classifier()), [], []
    average = active_gradients.all_reduce_params
    active_gradients.all_reduce_params = lambda gradients, **kwargs: (
        calls.append(len(gradients)),
        average(gradients, **kwargs),
    )
    wrapper = optimiser(model.module, updates, accumulative_counts=accumulative_counts)
    for step in range(MICRO_STEPS):
        model.module.backbone.set_arch(arch(model.module, step))
        model.train_step(labelled(rank, step), wrapper)
    active_gradients.all_reduce_params = average
    return dict(updates=updates, parameters=copies(model.module.named_parameters()), calls=calls)


def train_pinas(rank):
    model, archs, keys, updates = pinas(seed=rank), [], [], []
    own = copies(model.state_dict().items())
    wrapped = ActiveGradientDataParallel(model)
    start = copies(model.state_dict().items())
    draw, enqueue = model.draw_archs, model.enqueue
    model.draw_archs = lambda: archs.append(draw()) or archs[-1]
    model.enqueue = lambda k: (keys.append(k.clone()), enqueue(k))
    wrapper = optimiser(model, updates)
    for step in range(PINAS_STEPS):
        wrapped.train_step(views(rank, step), wrapper)
    return dict(
        own=own,
        start=start,
        archs=archs,
        keys=keys,
        updates=updates,
        state=copies(model.state_dict().items()),
    )


class ApartOptimWrapper(OptimWrapper):
    """Keeps the gradients of each pass in tensors of its own until the update."""

    def __init__(self, optimizer):
        super().__init__(optimizer)
        self.held = []

    def begin_pass(self, arch):
        self.held.append({})

    def backward(self, loss):
        super().backward(loss)
        parameters = [
            parameter for group in self.optimizer.param_groups for parameter in group['params']
        ]
        self.held[-1].update(
            {parameter: parameter.grad for parameter in parameters if parameter.grad is not None}
        )
        self.zero_grad()

    def held_gradients(self):
        return [gradient for path in self.held for gradient in path.values()]

    def step(self):
        for path in self.held:
            for parameter, gradient in path.items():
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        self.held.clear()
        super().step()


def train_strategy(kind, rank, accumulative_counts=1, apart=False):
    """Two batches; every rank begins with other weights than rank 0's."""
    model, updates, calls = ActiveGradientDataParallel(strategy(kind, seed=rank)), [], []
    average = active_gradients.all_reduce_params
    active_gradients.all_reduce_params = lambda gradients, **kwargs: (
        calls.append(len(gradients)),
        average(gradients, **kwargs),
    )
    kwargs = (
        dict(wrapper=ApartOptimWrapper) if apart else dict(accumulative_counts=accumulative_counts)
    )
    wrapper = optimiser(model.module, updates, **kwargs)
    for step in range(2):
        model.train_step(labelled(rank, step), wrapper)
    active_gradients.all_reduce_params = average
    return dict(updates=updates, state=copies(model.module.state_dict().items()), calls=calls)


def train(rank, folder):
    """Writes ``folder/rank.pth``."""
    results = dict(
        single=train_classifier(1, rank),
        accumulated=train_classifier(2, rank),
        pinas=train_pinas(rank),
        fair=train_strategy('FairStrategy', rank),
        fair_accumulated=train_strategy('FairStrategy', rank, accumulative_counts=2),
        fair_apart=train_strategy('FairStrategy', rank, apart=True),
        sandwich=train_strategy('SandwichStrategy', rank),
        supervised_pi=train_strategy('SupervisedPiStrategy', rank),
    )
    torch.save(results, folder / f'{rank}.pth')
