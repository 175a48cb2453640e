"""The images of a dataset without their labels: the target of unsupervised domain adaptation."""

from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as ROOT_DATASETS

from ...errors import InputError
from ...registry import DATASETS

# All that a pipeline is told of a sample: the image, or where it is. What is not named here may be
# a label.
IMAGE_KEYS = ('img', 'img_path', 'img_shape', 'ori_shape')


@DATASETS.register_module()
class UnlabelledDomain(BaseDataset):
    """Any mm dataset, its images alone: ``dict(type='pinas_mm.UnlabelledDomain',
    dataset=dict(type='CustomDataset', ...))``.

    Labels are removed when the list of samples is read, before a pipeline, a sampler or a loader
    that draws each class in proportion could see them; the labelled list is not kept. A sample is
    ``inputs`` and an empty data sample: not even the path of its file, which often holds the class,
    goes on to the model.

    Args:
        dataset: Config of a dataset; its pipeline is kept and ends in one of mm's packing
            transforms.

    Raises:
        InputError: See :func:`build_domain`.
    """

    def __init__(self, dataset: dict[str, Any]) -> None:
        labelled = build_domain(dataset, 'UnlabelledDomain')
        infos = (labelled.get_data_info(index) for index in range(len(labelled)))
        self._images = [{key: info[key] for key in IMAGE_KEYS if key in info} for info in infos]
        super().__init__(
            metainfo=labelled.metainfo,
            pipeline=labelled.pipeline.transforms,
            serialize_data=labelled.serialize_data,
            test_mode=labelled.test_mode,
            max_refetch=labelled.max_refetch,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        images, self._images = self._images, []
        return images

    def prepare_data(self, idx: int) -> dict[str, Any] | None:
        """The packed sample ``idx`` with an empty data sample; None where the pipeline drops the
        image."""
        packed = super().prepare_data(idx)
        # A transform may have written what it found into the data sample.
        return packed and dict(inputs=packed['inputs'], data_samples=type(packed['data_samples'])())


def build_domain(config: dict[str, Any], where: str) -> BaseDataset:
    """Builds a dataset of one domain and reads its list of samples.

    Args:
        config: Config of a plain mm dataset: not of several ones put together, which have no list
            and pipeline of their own.
        where: What the dataset is, for messages.

    Raises:
        InputError: The domain has no images, or its folders cannot be read.
    """
    place = ' '.join(
        repr(part)
        for part in (
            _innermost(config).get(key) for key in ('data_root', 'data_prefix', 'ann_file')
        )
        if part
    )
    name = f'{where}: {config.get("type")}' + (f' of {place}' if place else '')
    try:
        dataset = ROOT_DATASETS.build(config)
        if not isinstance(dataset, BaseDataset):
            raise InputError(f'a {type(dataset).__name__}, expected a plain mm dataset')
        dataset.full_init()
        size = len(dataset)
    except InputError as error:
        raise InputError(f'{where}: {error}') from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        AssertionError,
    ) as error:  # missing, empty and odd folders, each in its own way
        raise InputError(f'{name}: no images can be read: {error}') from error
    if size == 0:
        raise InputError(f'{name}: the domain has no images')
    return dataset


def _innermost(config: dict[str, Any]) -> dict[str, Any]:
    while isinstance(config.get('dataset'), dict):
        config = config['dataset']
    return config
