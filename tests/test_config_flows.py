"""Every shipped config does all it is for, small: it trains, validates, searches, trains the found
subnet and tests, on a few images in the layout of the data set that it names.

What is made small is what costs time and says nothing of the config: widths, sizes of images and of
batches, lengths, budgets. All else stays as it is shipped: data sets, pipelines, models, losses,
metrics, hooks, optimisers."""

import copy
import json
import shutil

import cv2
import mat4py
import mmcv
import pytest
import torch
from age_pictures import write_published_lists, write_utkface
from mmdet.datasets import CocoDataset
from mmengine.registry import MODELS, init_default_scope
from our_configs import names, read
from person_pictures import write_persons

from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.engine.runner import build_runner
from pinas_mm.engine.search_config import search_config
from pinas_mm.models.backbones import ElasticBackbone
from pinas_mm.pipelines.adaptation import JOINT, Adaptation
from pinas_mm.pipelines.dsnas import run_stages
from pinas_mm.pipelines.pinas import Pipeline
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.subnet_config import subnet_backbone
from pinas_mm.tasks.domains.digit_domains import write_digit_domain

# Images of a training set and of a test set; of the former so many are held out. Pixels of large
# images.
TRAIN, TEST, HELD_OUT, SIZE, BATCH = 30, 10, 6, 32, 16
PERSONS = dict(learning=10, held_out=2)
WIDTH = 0.25
BCCD = ('RBC', 'WBC', 'Platelets')


def folders(root, source, *others):
    for other in others:
        shutil.copytree(root / source, root / other)


def write_digits(folder, look, split, per_class):
    """Class folders with so many images in each."""
    write_digit_domain(folder, look, split, num_images=200)
    for path in folder.iterdir():
        for left_out in sorted(path.iterdir())[per_class:]:
            left_out.unlink()


def write_classes(root):
    """Image classification, with class folders or lists of files."""
    write_digits(root / 'cifar10/train', 'grey', 'learning', TRAIN // 10)
    write_digits(root / 'cifar10/test', 'grey', 'test', TEST // 10)
    folders(root, 'cifar10/train', 'imagenet/train', 'adapt/domains/grey')
    folders(root, 'cifar10/test', 'imagenet/val', 'adapt/domains/grey_held_out')
    (root / 'imagenet/meta').mkdir()
    for part in ('train', 'val'):
        paths = sorted((root / 'imagenet' / part).rglob('*.png'))
        lines = [f'{path.parent.name}/{path.name} {path.parent.name}\n' for path in paths]
        (root / f'imagenet/meta/{part}.txt').write_text(''.join(lines))
    write_digits(root / 'adapt/domains/noisy', 'noisy', 'learning', TRAIN // 10)
    write_digits(root / 'adapt/domains/noisy_test', 'noisy', 'test', TEST // 10)
    for name in ('office31/amazon/images', 'office31/webcam/images'):
        folders(root, 'adapt/domains/noisy', name)
    folders(root, 'adapt/domains/noisy', 'office_home/Art', 'office_home/Clipart')

    parts = [
        [(path, int(path.parent.name)) for path in sorted((root / folder).rglob('*.png'))]
        for folder in ('cifar10/train', 'cifar10/test')
    ]
    both = [sample for part in parts for sample in part]
    cub, cars, flowers = root / 'CUB_200_2011', root / 'Stanford_Cars', root / 'Flowers102'
    for number, (path, _) in enumerate(both, 1):
        image = cv2.imread(str(path))
        mmcv.imwrite(image, str(cub / f'images/{number}.jpg'))
        mmcv.imwrite(image, str(flowers / f'jpg/image_{number:05}.jpg'))
    for name, values in {
        'images': [f'{number}.jpg' for number in range(1, 1 + len(both))],
        'image_class_labels': [label + 1 for _, label in both],
        'train_test_split': [1] * TRAIN + [0] * TEST,
    }.items():
        lines = [f'{number} {value}\n' for number, value in enumerate(values, 1)]
        (cub / f'{name}.txt').write_text(''.join(lines))
    ids = list(range(1, 1 + len(both)))
    mat4py.savemat(str(flowers / 'imagelabels.mat'), dict(labels=[label + 1 for _, label in both]))
    mat4py.savemat(
        str(flowers / 'setid.mat'),
        dict(trnid=ids[: TRAIN // 2], valid=ids[TRAIN // 2 : TRAIN], tstid=ids[TRAIN:]),
    )
    (cars / 'devkit').mkdir(parents=True)
    for part, folder, file in zip(
        parts, ('cars_train', 'cars_test'), ('train_annos', 'test_annos_withlabels')
    ):
        for number, (path, _) in enumerate(part):
            mmcv.imwrite(cv2.imread(str(path)), str(cars / folder / f'{number}.jpg'))
        table = dict(
            fname=[f'{number}.jpg' for number in range(len(part))],
            **{'class': [label + 1 for _, label in part]},
        )
        mat4py.savemat(str(cars / f'devkit/cars_{file}.mat'), dict(annotations=table))


def write_scenes(root):
    """Detection and segmentation."""
    write_digit_scenes(root / 'digit_scenes', dict(train=TRAIN, val=TEST, test=TEST), 64)
    folders(root, 'digit_scenes/coco', 'coco')
    folders(root, 'digit_scenes/ade20k', 'ade/ADEChallengeData2016')
    folders(root, 'digit_scenes/cityscapes', 'cityscapes')
    for part in ('train', 'val', 'test'):
        text = (root / f'coco/annotations/instances_{part}2017.json').read_text()
        scenes = json.loads(text)
        scenes['categories'] = [
            dict(id=i, name=name) for i, name in enumerate(CocoDataset.METAINFO['classes'], 1)
        ]
        path = root / f'coco/annotations/instances_{part}2017.json'
        path.write_text(json.dumps(scenes))
        scenes['categories'] = [dict(id=i, name=name) for i, name in enumerate(BCCD, 1)]
        for annotation in scenes['annotations']:
            annotation['category_id'] = 1 + annotation['category_id'] % 3
        (root / 'bccd/annotations').mkdir(parents=True, exist_ok=True)
        (root / f'bccd/annotations/{part}.json').write_text(json.dumps(scenes))
        folders(root, f'coco/{part}2017', f'bccd/{part}')


def write_people(root):
    """Faces and persons."""
    for name in ('market1501', 'dukemtmc-reid'):
        write_persons(
            root / name,
            name.split('mt')[0].replace('1501', ''),
            learning=sum(PERSONS.values()),
            test=2,
        )
    write_utkface(root / 'utkface', TRAIN + TEST)
    write_published_lists(root / 'morph2', TRAIN, TEST)


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with every data set where the configs look for it."""
    root = tmp_path_factory.mktemp('flows')
    for write in (write_classes, write_scenes, write_people):
        write(root / 'data')
    return root


# --------------------------------------------------------------------------------------------------

# What is made small wherever it stands in a config.
SMALL = dict(
    batch_size=lambda value: BATCH,
    num_workers=lambda value: 0,
    persistent_workers=lambda value: False,
    held_out=lambda value: HELD_OUT,
    bank_samples=lambda value: 16,
    calibration_batches=lambda value: 1,
    num_images=lambda value: 1,
    queue_len=lambda value: 32,
    nms_pre=lambda value: 20,
    max_per_img=lambda value: 8,
    num=lambda value: 16,  # regions to learn from
    score_thr=lambda value: 0.0,  # after a step or two no detector is sure of anything
    allowed_border=lambda value: -1,  # published anchors are larger than small images
    num_archs=lambda value: 2,
    score_samples=lambda value: 4,
)
SIZES = ('scale', 'scales', 'crop_size', 'size', 'input_size', 'img_scale', 'pad_size')


def smaller(value, name=''):
    """A part of a config in its small form."""
    if isinstance(value, dict):
        return {key: smaller(item, key) for key, item in value.items()}
    if name in SIZES:
        return small_size(value)
    if name in SMALL and value is not None:
        return SMALL[name](value)
    if isinstance(value, list | tuple):
        return type(value)(smaller(item) for item in value)
    return value


def small_size(value):
    if isinstance(value, list | tuple):
        return type(value)(map(small_size, value))
    return SIZE if isinstance(value, int) and value > SIZE else value


def narrow(model):
    """Makes a large backbone of a model narrow, and what reads its maps; others are small."""
    backbone = model['backbone']
    if not str(backbone['type']).endswith(('ResNeSt', 'ResNet', 'ConvNeXt')):
        return
    factor = WIDTH / backbone.get('widen_factor', 1)
    backbone['widen_factor'] = WIDTH
    neck = model.get('neck') or {}
    readers = neck if isinstance(neck, list) else [neck]
    if not any('in_channels' in reader for reader in readers):
        for key in ('head', 'decode_head', 'auxiliary_head'):
            heads = model.get(key) or []
            readers = [*readers, *(heads if isinstance(heads, list) else [heads])]
    for reader in readers:
        for key in ('in_channels', 'c1_in_channels', 'input_features'):
            if key in reader:
                value = reader[key]
                reader[key] = (
                    [int(channels * factor) for channels in value]
                    if isinstance(value, list | tuple)
                    else int(value * factor)
                )


def small(name, folder):
    """The config in its small form, to run in ``folder``."""
    config = read(name)
    fields = smaller(config.to_dict())
    model = fields['model'].get('model', fields['model'])  # a strategy holds the model
    narrow(model)
    backbone = model['backbone']
    backbone['init_cfg'] = None
    # tools/make_truth.py gives the archs of a config that trains from scratch.
    if str(backbone.get('arch', '')).endswith('.yaml') or 'scratch' in name:
        with torch.device('meta'):
            space = MODELS.build(dict(backbone, arch=None)).space
        width = backbone.get('widen_factor', WIDTH)
        if 'search_loop' not in fields:  # a subnet's width stands in its file alone
            backbone.pop('widen_factor', None)
        subnet = SubnetFile(space.name, (1,) * space.num_slots, width)
        subnet.write(folder / 'subnet.yaml')
        backbone['arch'] = str(folder / 'subnet.yaml')
    if name.startswith('adapt/reid'):
        model['head']['num_classes'] = PERSONS['learning']
        for part in ('train', 'val'):
            fields[f'{part}_dataloader']['dataset']['held_out'] = PERSONS['held_out']
    if name.startswith('adapt/uda'):  # the domains here are of ten digits
        model['head']['num_classes'] = fields['data_preprocessor']['num_classes'] = 10
    wrapper = fields['optim_wrapper']
    if wrapper.get('type') == 'AmpOptimWrapper':  # for GPUs alone
        wrapper.update(type='OptimWrapper')
        wrapper.pop('loss_scale')
    train = fields['train_cfg']
    by_epoch = 'max_epochs' in train
    for lengths in (train, (fields.get('supernet_stage') or {}).get('train_cfg', {})):
        lengths['max_epochs' if by_epoch else 'max_iters'] = 1
    train['val_interval'] = 1
    train.pop('val_begin', None)
    hooks = fields['custom_hooks'] = list(fields.get('custom_hooks') or [])
    if any(hook['type'] == 'pinas_mm.DSNASHook' for hook in hooks):
        train['max_epochs' if by_epoch else 'max_iters'] = 2
    for hook in hooks:
        if 'cost_bins' in hook:  # of images of SIZE pixels
            hook['cost_bins'] = dict(macs=[0, 8e6, 1e9])
        hook.update(
            {
                'pinas_mm.DSNASHook': dict(search=1, warm_up=0),
                'pinas_mm.KNNHook': dict(interval=1, num_archs=1),
            }.get(hook['type'], {})
        )
    fields['default_hooks']['checkpoint'] = dict(
        type='CheckpointHook', interval=1, by_epoch=by_epoch
    )
    fields.setdefault('arch_evaluation', {}).update(calibration_batches=1)
    if fields['arch_evaluation'].keys() == {'calibration_batches'} and 'adapt' not in name:
        del fields['arch_evaluation']
    if 'search_loop' in fields:
        fields['search_loop'].update(searcher=dict(type='random'), ask_size=2, top_k=1)
    config = type(config)(fields, filename=config.filename)
    config.work_dir = str(folder / 'work')
    config.experiment_name = name.replace('/', '-')
    return config


def check_before_the_search(config, folder):
    """What tools/pinas.py checks of a config that takes the found subnet, before there is one."""
    macro = config.model.backbone.type.endswith('MacroNet')
    name = 'quickstart/search.py' if macro else 'pinas/pinas_resnest50-search_in1k.py'
    small(name, folder).dump(folder / 'search.py')
    config = copy.deepcopy(config)
    config.model.backbone.arch = 'work_dirs/search/subnet.yaml'
    config.dump(folder / 'transfer.py')
    configs = {stage: folder / f'{stage}.py' for stage in ('search', 'transfer')}
    Pipeline(configs, folder / 'pipeline', 0, {}).check_metrics()


def check_backbone_of_the_subnet(config, work_dir):
    """That the subnet file alone names the backbone that was trained, with all that its weights do
    not tell, such as strides: as tools/export.py reads it."""
    (trained,) = (work_dir / 'subnet').glob('*_1.pth')
    within = MODELS.build(dict(config.model.backbone, arch=str(work_dir / 'search/subnet.yaml')))
    _, alone = subnet_backbone(
        work_dir / 'search/subnet.yaml', trained, out_indices=within.out_indices
    )
    load_strict(within, trained, 'backbone.')
    images = torch.randn(2, alone.in_channels, 2 * SIZE, 2 * SIZE)
    with torch.no_grad():
        for ours, expected in zip(alone(images), within.eval()(images), strict=True):
            torch.testing.assert_close(ours, expected)


def source(config, path):
    """A checkpoint of a supernet, untrained."""
    backbone = MODELS.build(dict(config.model.backbone, arch=None, init_cfg=None))
    state = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    save_checkpoint(path, state, {})
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize('name', names())
def test_the_whole_flow(place, tmp_path, monkeypatch, name):
    monkeypatch.chdir(place)
    monkeypatch.delenv('PINAS_DATA', raising=False)
    torch.manual_seed(0)
    config = small(name, tmp_path)
    init_default_scope(config.default_scope)
    if name.startswith('adapt/'):
        # An elastic backbone starts from its own weights.
        elastic = issubclass(MODELS.get(config.model.backbone.type), ElasticBackbone)
        given = None if elastic else source(config, tmp_path / 'source.pth')
        report = Adaptation(config, given).run('subnet')
        metrics = report['rows'][JOINT]['metrics']
        assert metrics and (tmp_path / 'work/search/subnet.pth').exists()
        check_backbone_of_the_subnet(config, tmp_path / 'work')
    elif any(hook.type == 'pinas_mm.DSNASHook' for hook in config.custom_hooks):
        assert run_stages(config)['metrics']
    elif 'search_loop' in config:
        runner = build_runner(search_config(config))
        found = runner.test()
        assert runner.test_loop.score.parts.keys() <= found.keys()
    else:
        if str(config.model.get('backbone', {}).get('arch')).endswith('.yaml'):
            check_before_the_search(config, tmp_path)
        runner = build_runner(config)
        runner.train()
        supernet = runner.model.backbone.is_supernet
        if config.get('val_dataloader'):
            assert runner.message_hub.get_scalar('val/' + next(iter(validated(runner))))
        if config.get('test_dataloader') and not supernet:
            assert runner.test() is not None


def validated(runner):
    return [name.removeprefix('val/') for name in runner.message_hub.log_scalars if 'val/' in name]
