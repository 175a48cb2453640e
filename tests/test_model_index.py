"""model-index.yml and the metafiles: what mim and mmengine's hub read, and whether it is true."""

from pathlib import Path

import pytest
import yaml
from mmengine.hub import get_config
from our_configs import check_each, names, read

import pinas_mm
from pinas_mm import config_path

ROOT = Path(__file__).parents[1]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
METAFILES = {name: yaml.safe_load((ROOT / name).read_text()) for name in INDEX['Import']}
MODELS = [model for metafile in METAFILES.values() for model in metafile['Models']]
PUBLISHED = {
    'dsnas_shufflenetv2_8xb128-coslr-240e_in1k': {
        ('Image Classification', 'ImageNet-1k'): {'published Top 1 Accuracy': 74.4}
    },
    'pinas_resnest50-retrain_32xb64-coslr-270e_in1k': {
        ('Image Classification', 'ImageNet-1k'): {'published Top 1 Accuracy': 81.6}
    },
    'mask-rcnn_pinas-resnest50_fpn_syncbn-all_ms-1x_coco': {
        ('Object Detection', 'COCO'): {'published box AP': 44.07},
        ('Instance Segmentation', 'COCO'): {'published mask AP': 39.5},
    },
    'pinas-resnest50-d8_deeplabv3_4xb4-160k_ade20k-480x480': {
        ('Semantic Segmentation', 'ADE20K'): {
            'published mIoU': 45.47,
            'published pixel accuracy': 81.27,
        }
    },
    'pinas-resnest50-d8_deeplabv3_4xb2-80k_cityscapes-768x768': {
        ('Semantic Segmentation', 'Cityscapes'): {'published mIoU': 80.7}
    },
}
# Measured here, see docs/results/transfer.md.
MEASURED = {'faster-rcnn_pinas-macro_fpn_1xb8-6e_bccd', 'quickstart-detect', 'quickstart-segment'}


def test_every_config_is_named_once_and_every_name_is_a_config():
    shipped = [f'configs/{name}' for name in names()]
    assert sorted(model['Config'] for model in MODELS) == shipped
    assert sorted(INDEX['Import']) == sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / 'configs').rglob('metafile.yml')
    )
    for name, metafile in METAFILES.items():
        assert {Path(model['Config']).parent for model in metafile['Models']} == {Path(name).parent}


def test_the_code_and_the_readme_of_a_collection_exist():
    collections = {
        (Path(name).parent, collection['Name'], collection['Code'], collection['README'])
        for name, metafile in METAFILES.items()
        for collection in metafile.get('Collections', [])
    }
    assert {name for _, name, _, _ in collections} == {model['In Collection'] for model in MODELS}
    for folder, _, code, readme in collections:
        assert (ROOT / code).is_file() and (ROOT / folder / readme).is_file()


@pytest.mark.slow
def test_what_a_metafile_says_is_true():
    def check(name):
        (model,) = [model for model in MODELS if model['Config'] == name]
        assert (
            {'Name', 'In Collection', 'Config', 'Metadata'}
            <= set(model)
            <= {'Name', 'In Collection', 'Config', 'Metadata', 'Results'}
        )
        path = Path(model['Config'])
        assert (
            model['Name'] == ('quickstart-' if path.parent.name == 'quickstart' else '') + path.stem
        )
        assert model['In Collection'] == ('DSNAS' if path.parent.name == 'dsnas' else 'Pi-NAS')
        config, metadata = read(path.relative_to('configs')), model['Metadata']
        trained = 'search_loop' not in config or 'supernet_stage' in config
        assert (
            trained
            == bool(metadata.get('Epochs') or metadata.get('Iterations'))
            == ('Batch Size' in metadata)
            and metadata['Training Data']
        )
        if trained:
            assert metadata.get('Epochs') == config.train_cfg.get('max_epochs')
            assert metadata.get('Iterations') == config.train_cfg.get('max_iters')
            batch = (
                config.auto_scale_lr.base_batch_size
                if 'auto_scale_lr' in config
                else 4 * config.train_dataloader.batch_size
            )
            assert metadata['Batch Size'] == batch

    check_each(check, [model['Config'] for model in MODELS])


def test_published_numbers_are_marked_and_never_mixed_with_ours():
    assert {model['Name'] for model in MODELS if 'Results' in model} == {*PUBLISHED, *MEASURED}
    for model in MODELS:
        name, source = model['Name'], model['Metadata'].get('Results From', '')
        results = {
            (result['Task'], result['Dataset']): result['Metrics']
            for result in model.get('Results', [])
        }
        if name in PUBLISHED:
            assert results == PUBLISHED[name]
        else:
            assert not any(
                'published' in metric for metrics in results.values() for metric in metrics
            )
        assert ('the paper' in source, 'measured here;' in source) == (
            name in PUBLISHED,
            name in MEASURED,
        )
        assert 'Weights' not in model, 'no weights of ours exist'


@pytest.mark.parametrize(
    'name', ['mmdet/mask-rcnn_pinas-resnest50_fpn_1x_coco.py', 'quickstart/learn.py']
)
def test_the_hub_and_config_path_find_the_configs(name):
    """From the installed package; where it is the repository, ``pinas_mm/.mim`` links to the files
    tested here."""
    assert (
        Path(config_path(f'pinas_mm::{name}')).read_text() == (ROOT / 'configs' / name).read_text()
    )
    assert get_config(f'pinas_mm::{name}').to_dict() == read(name).to_dict()
    mim = Path(pinas_mm.__file__).parent / '.mim'
    assert (mim / 'model-index.yml').read_text() == (ROOT / 'model-index.yml').read_text()
