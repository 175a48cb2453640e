"""Reads every image of a config's datasets once, before hours of training (``--check-data``)."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dist import all_gather_object, get_dist_info, is_main_process
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from ..datasets.named_loading import NamedLoading
from ..datasets.wrappers import plain_datasets
from ..errors import InputError
from .data_settings import dataset_configs
from .loaders import built_dataset
from .runner import init_ranks

# Files in a message of a worker: so many are read before the next progress is shown.
BATCH = 32


class ReadOnce(Dataset):
    """What is wrong with each sample: None where nothing is; otherwise its name with the reason,
    and whether that is in its files (True) or in its pipeline (False).

    A sample is read as in training, by its dataset's whole pipeline.

    Args:
        samples: Plain datasets with an index in each.
    """

    def __init__(self, samples: Sequence[tuple[Any, int]]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[str, bool] | None:
        dataset, place = self.samples[index]
        path = dataset.get_data_info(place).get('img_path')
        name = f'sample {place} of {type(dataset).__name__}' if path is None else path
        try:
            dataset.prepare_data(place)
        except InputError as error:
            text = str(error)
            # It may be about another file of the sample, such as its segmentation map.
            return text if text.startswith(f'{name}: ') else f'{name}: {text}', True
        except Exception as error:  # the pipeline's own
            pipeline = dataset.pipeline
            step = pipeline.running if isinstance(pipeline, NamedLoading) else pipeline
            said = ' '.join(str(error).split())
            return f'{name}: {type(step).__name__}: {type(error).__name__}: {said}', False
        return None


def check_data(*configs: Config) -> None:
    """Reads each image of all datasets of some configs once, in parallel, and lists on standard
    output those that cannot be read. Ranks share the images.

    Args:
        configs: As :func:`~pinas_mm.engine.data_settings.fill_in_from_data` leaves them, of one
            launcher.

    Raises:
        InputError: Some cannot be read.
        RuntimeError: A transform fails on some that can: that is no fault of the images.
    """
    init_ranks(configs[0])
    samples = list(distinct_samples(configs))
    rank, world_size = get_dist_info()
    loader = DataLoader(
        ReadOnce(samples[rank::world_size]),
        batch_size=BATCH,
        num_workers=max(1, (os.cpu_count() or 1) // world_size),
        collate_fn=list,
    )
    steps = track(
        loader,
        'reading every image',
        disable=not is_main_process(),
        transient=True,
        console=Console(stderr=True),
    )
    found = [each for batch in steps for each in batch if each is not None]
    found = sorted(each for part in all_gather_object(found) for each in part)
    bad, failed = ([text for text, in_file in found if in_file is kind] for kind in (True, False))
    if is_main_process():
        for text, _ in found:
            print(text)
        fails = f', the pipelines fail on {len(failed)}' if failed else ''
        read = f'{len(samples)} images read, {len(bad)} cannot be used'
        print(f'--check-data: {read}{fails}', flush=True)
    if failed:
        raise RuntimeError(
            f'--check-data: the pipelines fail on {len(failed)} of {len(samples)} images, such as '
            f'{failed[0]}'
        )
    if bad:
        raise InputError(
            f'--check-data: {len(bad)} of {len(samples)} images cannot be used, such as '
            f'{bad[0]}: mend or remove them'
        )


def distinct_samples(configs: Sequence[Config]) -> Iterator[tuple[Any, int]]:
    """Every sample of every dataset of some configs, as a plain dataset and an index in it; an
    image that several datasets share, once."""
    seen: set[Any] = set()
    for config in configs:
        for _, dataset_config in dataset_configs(config):
            with DefaultScope.overwrite_default_scope(config.get('default_scope')):
                dataset = built_dataset(dataset_config)
            for number, plain in enumerate(plain_datasets(dataset)):
                if not hasattr(plain, 'prepare_data'):
                    continue
                for index in range(len(plain)):
                    path = plain.get_data_info(index).get('img_path')
                    place = repr(dataset_config), number, index
                    key = place if path is None else os.path.realpath(path)
                    if key not in seen:
                        seen.add(key)
                        yield plain, index
