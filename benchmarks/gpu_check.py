#!/usr/bin/env python
"""Does pinas_mm work on this GPU? One process, at most 6 minutes on one GPU of the H200's class.

    python benchmarks/gpu_check.py --out gpu.json            # exit code 1 if a check fails
    python benchmarks/gpu_check.py --device cpu --small      # the same checks on tiny models
    python benchmarks/gpu_check.py --only step sync          # some checks

It needs a recent torch, numpy, scipy, scikit-learn, matplotlib, PyYAML and rich; mmengine, mmcv
(with or without its operators: mmcv-lite will do) and mmpretrain; no data. A check prints one line:
its name, its figures, PASS or FAIL. One that fails or crashes does not stop the others; one that
would start after --limit seconds fails.

On a machine without a package index, wheels travel with the working tree. On this one, in the
root of the repository:

    echo /.whl/ >> .git/info/exclude
    pip download --no-deps --python-version 3.12 --only-binary=:all: -d .whl onedl-mmengine \\
        mmcv-lite onedl-mmpretrain addict termcolor yapf platformdirs modelindex mat4py
    # any of these without a wheel: pip wheel --no-deps -w .whl NAME

On the GPU machine, with .whl carried along:

    python3 -m pip install -q --no-index --no-deps --target /tmp/site .whl/*.whl
    PYTHONPATH=/tmp/site:$PWD PYTHONUNBUFFERED=1 python3 benchmarks/gpu_check.py --out $OUT/gpu.json

Give the command 480 seconds. ``--limit 330`` leaves time to write the file where it is short."""

import argparse
import copy
import functools
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
CHECKS: dict[str, Callable[['Setting'], tuple[bool, Figures]]] = {}


def check(function: Callable[['Setting'], tuple[bool, Figures]]) -> Callable:
    """Registers a check: it takes the setting, and returns whether all is well and its figures."""
    CHECKS[function.__name__] = function
    return function


@dataclass(frozen=True)
class Setting:
    """Where and at which size the checks run.

    Args:
        device: ``'cuda'`` or ``'cpu'``.
        small: Tiny models, for a CPU.
    """

    device: str
    small: bool

    @property
    def half(self) -> str:
        """The type that mixed precision computes in by default."""
        return 'float16' if self.device == 'cuda' else 'bfloat16'

    def of(self, full: Any, small: Any) -> Any:
        return small if self.small else full

    @property
    def size(self) -> int:
        """Of images, in pixels."""
        return self.of(224, 16)

    @property
    def backbone(self) -> dict[str, Any]:
        return self.of(
            dict(type='pinas_mm.SearchableResNeSt'),
            dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125),
        )

    @property
    def channels(self) -> int:
        return self.of(2048, 160)

    def pinas(self) -> Any:
        """A model to learn with; each call gives the same."""
        return copy.deepcopy(self._pinas())

    @functools.cache  # noqa: B019 - there is one setting
    def _pinas(self) -> Any:
        """The published model, with weights and BN as if it were trained: at its own start every
        residual branch is zero, and the teacher is the student."""
        feat_dim, queue_len, channels = self.of((128, 49152, 2048), (16, 64, 160))
        model = build(
            dict(
                type='pinas_mm.PiNAS',
                backbone=self.backbone,
                neck=dict(
                    type='MoCoV2Neck',
                    in_channels=channels,
                    hid_channels=channels,
                    out_channels=feat_dim,
                ),
                head=dict(
                    type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2
                ),
                queue_len=queue_len,
                feat_dim=feat_dim,
            ),
            seed=0,
        )
        parameters = zip(model.backbone.parameters(), model.teacher.backbone.parameters())
        with torch.no_grad():
            for student, teacher in parameters:
                noise = torch.randn_like(student) * student.std(correction=0)
                teacher.copy_(student + 0.02 * noise)
        return model

    def classifier(self, arch: tuple[int, ...] | None = None) -> Any:
        """A classifier over the same supernet."""
        return build(
            dict(
                type='ImageClassifier',
                backbone=self.backbone | dict(arch=arch),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(
                    type='LinearClsHead', num_classes=10, in_channels=self.channels, topk=(1,)
                ),
                data_preprocessor=dict(
                    num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False
                ),
            ),
            seed=0,
        )

    def views(self, batch: int, seed: int = 0, device: str | None = None) -> dict[str, Any]:
        """A batch of four views of normal noise."""
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(4, batch, 3, self.size, self.size, generator=generator)
        return dict(inputs=[*images.to(device or self.device)], data_samples=None)

    def wait(self) -> None:
        if self.device == 'cuda':
            torch.cuda.synchronize()


def build(config: dict[str, Any], seed: int) -> Any:
    """A model with seeded weights; the last BN of residual branches is not zero."""
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.init_weights()
    with torch.no_grad():
        for norm in model.backbone.residual_norms():
            norm.weight.uniform_(0.2, 0.4)
    return model.train()


def sgd(model: Any, cls: Any = None, lr: float = 0.03, **kwargs: Any) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    return (cls or OptimWrapper)(optimizer=optimizer, **kwargs)


@contextmanager
def full_precision() -> Iterator[None]:
    """Within it a GPU multiplies in float32, not in TF32."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, allowed in zip(backends, before):
            backend.allow_tf32 = allowed


def cosine(ours: Any, theirs: Any) -> float:
    ours, theirs = (values.flatten().double().cpu() for values in (ours, theirs))
    return float(ours @ theirs / (ours.norm() * theirs.norm()))


def farthest(ours: Any, theirs: Any) -> float:
    """The largest difference of two lists of tensors, relative to each pair's largest value."""
    differences = [
        ((a.detach().cpu() - b.detach().cpu()).abs().max() / b.abs().max().cpu().clamp(min=1e-12))
        for a, b in zip(ours, theirs, strict=True)
    ]
    return float(max(differences))


# The checks.


@check
def step(setting: Setting) -> tuple[bool, Figures]:
    """A Pi-NAS step in every precision against the CPU's in float32: the same weights, images and
    paths. Gradients are compared by their cosine, the keys in the queue by their least one."""
    batch = setting.of(8, 8)
    model = setting.pinas()
    archs = model.draw_archs()
    start = copy.deepcopy(model)
    reference = _step(model, setting.views(batch, device='cpu'), archs, 'cpu', 'float32')
    figures, right = {}, True
    limits = dict(float32=(1e-3, 1e-4), float16=(1e-2, 0.02), bfloat16=(1e-2, 0.1))
    for precision, (of_loss, of_cosine) in limits.items():
        if setting.device == 'cpu' and precision == 'float16':
            continue
        model = copy.deepcopy(start).to(setting.device)
        # On a CPU the layout at least is another one.
        model = model.to(memory_format=torch.channels_last) if setting.device == 'cpu' else model
        with full_precision():
            found = _step(model, setting.views(batch), archs, setting.device, precision)
        figures[precision] = dict(
            loss=abs(found['loss'] / reference['loss'] - 1),
            teacher=farthest(found['teacher'], reference['teacher']),
            queue=1 - min(map(cosine, found['keys'], reference['keys'])),
            pointer=found['pointer'],
            gradient=1 - cosine(found['gradient'], reference['gradient']),
        )
        right &= (
            figures[precision]['loss'] <= of_loss
            and figures[precision]['teacher'] <= 1e-5
            and figures[precision]['queue'] <= of_cosine
            and figures[precision]['pointer'] == reference['pointer'] == batch
            and figures[precision]['gradient'] <= of_cosine * 2
        )
    return right, figures


def _step(model: Any, data: Any, archs: Any, device: str, precision: str) -> dict[str, Any]:
    dtype = getattr(torch, precision)
    with torch.autocast(device, dtype, enabled=precision != 'float32'):
        losses = model.loss(data['inputs'], archs=archs)
    loss = losses['loss_path0'] + losses['loss_path1']
    (loss * (1024 if precision == 'float16' else 1)).backward()  # or gradients underflow
    path = [
        parameter
        for arch in archs
        for module in model.backbone.path(arch)
        for parameter in module.parameters()
    ]
    return dict(
        loss=float(loss.detach()),
        teacher=list(model.teacher.parameters()),
        keys=list(model.queue[: len(data['inputs'][0])]),
        pointer=int(model.queue_pointer),
        gradient=torch.cat([parameter.grad.flatten() for parameter in path]),
    )


@check
def throughput(setting: Setting) -> tuple[bool, Figures]:
    """The published batch of 24 in mixed precision: images a second (each with its four views) and
    peak memory, contiguous and channels-last."""
    batch, rounds = setting.of((24, 10), (4, 2))
    figures: Figures = dict(batch=batch)
    for layout in ('contiguous_format', 'channels_last'):
        model = setting.pinas().to(setting.device).to(memory_format=getattr(torch, layout))
        wrapper, data = sgd(model, AmpOptimWrapper), setting.views(batch)
        if setting.device == 'cuda':
            torch.cuda.reset_peak_memory_stats()
        for number in range(rounds + 3):
            if number == 3:  # after the first ones, which choose and load kernels
                setting.wait()
                started = time.perf_counter()
            model.train_step(data, wrapper)
        setting.wait()
        seconds = (time.perf_counter() - started) / rounds
        figures[layout] = dict(images_per_second=batch / seconds)
        if setting.device == 'cuda':
            figures[layout]['memory_gb'] = torch.cuda.max_memory_allocated() / 2**30
        del model, wrapper
    return True, figures


@check
def compiled(setting: Setting) -> tuple[bool, Figures]:
    """torch.compile of blocks, each by itself: another path then needs no other graph. Where it
    does not work, the figure says so. On a CPU the graphs are traced only."""
    backbone = setting.classifier().backbone.to(setting.device)
    position = backbone.position(0)
    blocks = [position[str(choice)] for choice in range(2)]
    x = torch.randn(
        setting.of(24, 4),
        backbone.channels(backbone.space.positions[0].in_channels),
        setting.of(56, 16),
        setting.of(56, 16),
        device=setting.device,
    )

    def run() -> list[Any]:
        return [
            backbone.run(0, (choice, *(0,) * (backbone.space.num_slots - 1)), x)
            for choice in range(2)
        ]

    def timed() -> float:
        setting.wait()
        started = time.perf_counter()
        for _ in range(5):
            run()
        setting.wait()
        return time.perf_counter() - started

    with full_precision(), torch.no_grad():
        backbone.eval()
        backbone.is_borrowed = True
        eager = run()
        before = timed()
        try:
            for block in blocks:
                block.compile(**({} if setting.device == 'cuda' else dict(backend='eager')))
            found = run()
            run()
        except Exception as error:  # dynamo's and the compiler's own, of many kinds
            return True, dict(works=False, error=f'{type(error).__name__}: {error}'[:200])
        figures = dict(
            works=True, difference=farthest(found, eager), time_of_eager=timed() / before
        )
    return figures['difference'] <= 1e-3, figures


@check
def finite(setting: Setting) -> tuple[bool, Figures]:
    """100 steps in mixed precision: every loss is finite, and few updates were left out."""
    steps, batch = 100, setting.of(24, 4)
    model = setting.pinas().to(setting.device)
    wrapper = sgd(model, AmpOptimWrapper)
    batches = [setting.views(batch, seed) for seed in range(8)]
    losses = [
        model.train_step(batches[number % len(batches)], wrapper)['loss'] for number in range(steps)
    ]
    losses = torch.stack(losses).detach().float().cpu()
    bad = int((~torch.isfinite(losses)).sum())
    state = all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
    return bad == 0 and state, dict(
        steps=steps,
        not_finite=bad,
        weights_finite=state,
        first=losses[0].item(),
        last=losses[-1].item(),
        loss_scale=wrapper.loss_scaler.get_scale(),
    )


@check
def evaluation(setting: Setting) -> tuple[bool, Figures]:
    """64 archs evaluated together against one at a time: the time, the scores, and the BN
    statistics of four of them."""
    from pinas_mm.evaluation import LabelLikelihood
    from pinas_mm.scoring import bn_recalibration
    from pinas_mm.scoring.evaluator import ArchEvaluator

    model = setting.classifier().to(setting.device)
    space, rng = model.backbone.space, np.random.default_rng(0)
    drawn = dict.fromkeys(space.sample(rng) for _ in range(200))
    archs = sorted(list(drawn)[:64])
    loaders = [noise_loader(setting, count, seed) for seed, count in enumerate((64, 64))]
    evaluator = ArchEvaluator(
        model, *loaders, build_metrics=lambda: Evaluator([LabelLikelihood(), Accuracy()])
    )

    def statistics(share: bool, archs: list[Any]) -> list[Any]:
        found = []
        with bn_recalibration.supernet_borrowed(model, share_prefixes=share) as supernet:
            for _ in supernet.recalibrate(archs, loaders[0]):
                pass
            for arch in archs:
                supernet.load_all(arch)
                for layer in bn_recalibration.active_bn_layers(model, arch):
                    found += [layer.running_mean.clone(), layer.running_var.clone()]
        return found

    with full_precision():
        evaluator.evaluate(archs[:2])  # loads kernels
        started = time.perf_counter()
        together = evaluator.evaluate(archs)
        shared = time.perf_counter() - started
        started = time.perf_counter()
        alone = [evaluator.evaluate([arch])[0] for arch in archs]
        single = time.perf_counter() - started
        four = archs[::16][:4]
        by_one = [tensor for arch in four for tensor in statistics(False, [arch])]
        of_bn = farthest(statistics(True, four), by_one)
        fresh = max(float((value - 1).abs().max()) for value in by_one[1::2])
    differences = [
        abs(ours[name] - theirs[name])
        for ours, theirs in zip(together, alone)
        for name in ('score/neg_loss', 'score/margin')
    ]
    scores = [result['score/neg_loss'] for result in alone]
    return max(differences) <= 1e-3 and of_bn <= 1e-3 and fresh > 1e-3 and np.ptp(scores) > 0, dict(
        archs=len(archs),
        time_ratio=single / shared,
        largest_difference=max(differences),
        bn_difference=of_bn,
        # Of running variances from 1, their value before: BN was recalibrated.
        recalibrated_by=fresh,
        spread_of_scores=float(np.ptp(scores)),
    )


class Noise:
    """Random images with labels, as an mm dataset."""

    metainfo = dict(classes=tuple('0123456789'))

    def __init__(self, count: int, size: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.randint(0, 256, (count, 3, size, size), generator=generator).float()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = DataSample().set_gt_label(index % 10)
        return dict(inputs=self.images[index], data_samples=sample)


def noise_loader(setting: Setting, count: int, seed: int) -> Any:
    return torch.utils.data.DataLoader(
        Noise(count, setting.size, seed), batch_size=32, collate_fn=pseudo_collate
    )


@check
def latency(setting: Setting) -> tuple[bool, Figures]:
    """The latency table against whole subnets that it was not made from; batches of 32, since one
    image leaves a large GPU waiting for Python."""
    from pinas_mm.costs.latency import measure_latency

    backbone = setting.classifier().backbone.to(setting.device)
    images = torch.randn(setting.of(32, 1), 3, setting.size, setting.size, device=setting.device)
    found = measure_latency(backbone, images, rounds=setting.of(9, 3), num_check=20).check
    figures = {name: found[name] for name in ('median_error', 'rank_correlation')}
    # A tiny network on a busy CPU tells no order.
    most, least = setting.of((0.1, 0.8), (1.0, -1.0))
    return figures['median_error'] <= most and figures['rank_correlation'] >= least, figures


@check
def group(setting: Setting) -> tuple[bool, Figures]:
    """A process group of one: ActiveGradientDataParallel gives the plain step's weights, a tensor
    goes through the backend, and SyncBN learns (on a GPU) and is recalibrated."""
    import torch.distributed as dist

    from pinas_mm.engine import ActiveGradientDataParallel
    from pinas_mm.scoring.bn_recalibration import recalibrated_bn

    batch = setting.of(8, 4)
    plain = setting.pinas().to(setting.device)
    wrapped = copy.deepcopy(plain)
    synced = torch.nn.SyncBatchNorm.convert_sync_batchnorm(setting.classifier()).to(setting.device)
    backend = 'nccl' if setting.device == 'cuda' else 'gloo'
    with tempfile.TemporaryDirectory() as folder, full_precision():
        dist.init_process_group(
            backend, init_method=f'file://{folder}/rendezvous', rank=0, world_size=1
        )
        try:
            sgd_of_plain, sgd_of_wrapped = sgd(plain), sgd(wrapped)
            wrapper = ActiveGradientDataParallel(wrapped)
            for number in range(2):
                plain.train_step(setting.views(batch, number), sgd_of_plain)
                wrapper.train_step(setting.views(batch, number), sgd_of_wrapped)
            there = torch.ones(4, device=setting.device)
            dist.all_reduce(there)
            ours, theirs, start = (
                torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
                for model in (wrapped, plain, setting.pinas().to(setting.device))
            )
            # Relative to the way they went: a GPU's backward pass sums in no fixed order.
            difference = float((ours - theirs).norm() / (theirs - start).norm())
            arch = synced.backbone.space.sample(np.random.default_rng(0))
            synced.backbone.set_arch(arch)
            batches = noise_loader(setting, 64, 0)
            if setting.device == 'cuda':
                synced.train_step(next(iter(batches)), sgd(synced))
            with recalibrated_bn(synced, arch, batches):
                scores = synced.val_step(next(iter(batches)))
        finally:
            dist.destroy_process_group()
    right = all(bool(torch.isfinite(sample.pred_score).all()) for sample in scores)
    return difference <= 0.01 and bool((there == 1).all()) and right, dict(
        backend=backend, difference=difference, syncbn_finite=right
    )


@check
def dsnas(setting: Setting) -> tuple[bool, Figures]:
    """DSNAS' two stages, 20 steps each, through the Runner on digits; on a GPU in mixed
    precision."""
    from pinas_mm.pipelines.dsnas import run_stages

    def digits(split: str, indices: int) -> dict[str, Any]:
        dataset = dict(
            type='pinas_mm.Digits', split=split, indices=indices, pipeline=[dict(type='PackInputs')]
        )
        sampler = dict(type='DefaultSampler', shuffle=True)
        return dict(batch_size=16, num_workers=0, sampler=sampler, dataset=dataset)

    amp = 'Amp' if setting.device == 'cuda' else ''
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            dict(
                work_dir=f'{folder}/dsnas',
                default_scope='mmpretrain',
                custom_imports=dict(imports=['pinas_mm']),
                log_level='ERROR',
                randomness=dict(seed=0),
                model=dict(
                    type='ImageClassifier',
                    backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25),
                    neck=dict(type='GlobalAveragePooling'),
                    head=dict(type='LinearClsHead', num_classes=10, in_channels=320),
                    data_preprocessor=dict(
                        num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False
                    ),
                ),
                train_dataloader=digits('learning', 320),
                train_cfg=dict(type='IterBasedTrainLoop', max_iters=40),
                default_hooks=dict(
                    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=20)
                ),
                optim_wrapper=dict(
                    type=f'pinas_mm.DSNAS{amp}OptimWrapper',
                    optimizer=dict(type='SGD', lr=0.05, momentum=0.9),
                ),
                custom_hooks=[
                    dict(type='pinas_mm.DSNASHook', search=20, warm_up=5, keep_momentum=True)
                ],
                test_dataloader=digits('test', 64),
                test_evaluator=dict(type='Accuracy'),
                test_cfg=dict(),
            )
        )
        result = run_stages(config)
        written = (Path(folder) / 'dsnas/subnet.pth').exists()
    moved = max(max(values) for values in result['probabilities'])
    accuracy = result['metrics']['accuracy/top1']
    return written and moved > 1 / 3 and 0 <= accuracy <= 100, dict(
        arch=result['arch'], accuracy=accuracy, largest_probability=moved
    )


@check
def export(setting: Setting) -> tuple[bool, Figures]:
    """A subnet on the device, and its exported program on the CPU."""
    from pinas_mm.subnets.export import ImagesToLogits, export_program

    backbone = setting.classifier().backbone
    arch = backbone.space.sample(np.random.default_rng(1))
    model = setting.classifier(arch).to(setting.device).eval()
    side = setting.of(224, 64)
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad(), full_precision():
        data = model.data_preprocessor(dict(inputs=images.to(setting.device)))
        there = model(data['inputs'], mode='tensor')
        here = export_program(ImagesToLogits(model)).module()(images)
    difference = farthest([there], [here])
    still = next(model.parameters()).device.type == setting.device
    return difference <= 1e-3 and still, dict(difference=difference, model_stays=still)


@check
def sync(setting: Setting) -> tuple[bool, Figures]:
    """How often Python waits for the device within a step. (A logger's reading of the losses, and
    a loss scaler's of its overflow, come on top.)"""
    from torch.profiler import ProfilerActivity, profile

    model = setting.pinas().to(setting.device)
    wrapper, data, steps = sgd(model), setting.views(4), 3
    model.train_step(data, wrapper)
    setting.wait()
    activities = [ProfilerActivity.CPU]
    activities += [ProfilerActivity.CUDA] if setting.device == 'cuda' else []
    with profile(activities=activities) as profiler:
        with torch.profiler.record_function('steps'):
            for _ in range(steps):
                model.train_step(data, wrapper)
        setting.wait()
    events = list(profiler.events())
    region = next(
        event.time_range
        for event in events
        if event.name == 'steps' and event.device_type == torch.autograd.DeviceType.CPU
    )
    names = ('aten::_local_scalar_dense', 'aten::item', 'cudaStreamSynchronize')
    waits = dict.fromkeys(names, 0)
    for event in events:
        within = region.start <= event.time_range.start <= region.end
        if event.name in names and within:
            waits[event.name] += 1
    figures = {name.rpartition(':')[2]: count / steps for name, count in waits.items()}
    return not any(waits.values()), figures


def text(figures: Any) -> str:
    """Figures as one line."""
    if isinstance(figures, dict):
        parts = (
            f'{name} ({text(value)})' if isinstance(value, dict) else f'{name} {text(value)}'
            for name, value in figures.items()
        )
        return ', '.join(parts)
    return f'{figures:.3g}' if isinstance(figures, float) else str(figures)


def run(setting: Setting, names: list[str], limit: float) -> list[dict[str, Any]]:
    """Runs checks one after the other, and prints a line for each."""
    results, began = [], time.monotonic()
    for name in names:
        started, error = time.monotonic(), None
        try:
            if started - began > limit:
                raise TimeoutError(f'not started: {limit:g} seconds are over')
            passed, figures = CHECKS[name](setting)
        except Exception as raised:  # whatever it is, the other checks go on
            passed, figures, error = False, {}, f'{type(raised).__name__}: {raised}'
            traceback.print_exc()
        seconds = time.monotonic() - started
        results.append(
            dict(name=name, passed=bool(passed), figures=figures, error=error, seconds=seconds)
        )
        shown = text(figures) if error is None else ' '.join(error.split())[:200]
        print(f'{name:11s} {"PASS" if passed else "FAIL"}  {shown}  [{seconds:.1f} s]', flush=True)
        if setting.device == 'cuda':
            try:
                torch.cuda.empty_cache()
            except RuntimeError as raised:  # after a failed kernel nothing works any more
                print(f'the GPU no longer answers: {raised}', flush=True)
    return results


def main() -> None:
    names = ', '.join(CHECKS)
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    options.add_argument('--small', action='store_true', help='tiny models')
    options.add_argument('--only', nargs='+', choices=CHECKS, metavar='CHECK', help=names)
    options.add_argument('--limit', type=float, default=360, help='seconds (default: 360)')
    options.add_argument('--out', type=Path, help='JSON to write')
    args = options.parse_args()
    if args.device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''  # mmengine's Runner takes a GPU where there is one
    imports()
    if args.device == 'cuda' and not torch.cuda.is_available():
        sys.exit('no GPU: torch.cuda.is_available() is False (--device cpu --small runs without)')
    setting = Setting(args.device, args.small)
    device = torch.cuda.get_device_name() if args.device == 'cuda' else 'cpu'
    print(f'torch {torch.__version__} on {device}', flush=True)
    results = run(setting, args.only or list(CHECKS), args.limit)
    report = dict(
        device=device, torch=torch.__version__, small=args.small, time=time.ctime(), checks=results
    )
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1))
    failed = [result for result in results if not result['passed']]
    print(f'{len(results) - len(failed)} of {len(results)} passed')
    sys.exit(bool(failed))


def imports() -> None:
    """Imports what has to see the environment variable of main."""
    global torch, np, MODELS, OptimWrapper, AmpOptimWrapper, Config, Evaluator, Accuracy
    global DataSample, pseudo_collate
    import numpy as np
    import torch
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate
    from mmengine.evaluator import Evaluator
    from mmengine.logging import MMLogger
    from mmengine.optim import OptimWrapper
    from mmengine.registry import MODELS, init_default_scope
    from mmpretrain.evaluation import Accuracy
    from mmpretrain.structures import DataSample

    import pinas_mm  # noqa: F401
    from pinas_mm.strategies import AmpOptimWrapper

    init_default_scope('mmpretrain')
    MMLogger.get_instance('gpu_check', log_level='ERROR')  # else every layer's initialisation


if __name__ == '__main__':
    main()
