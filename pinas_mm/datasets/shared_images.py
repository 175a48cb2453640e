"""Images that two datasets share: a held-out part must share none with what is learned from."""

import os

from mmengine.dataset import BaseDataset


def shared_images(one: BaseDataset, other: BaseDataset) -> list[str]:
    """The image files that both datasets have, in the order of their names; however they are
    spelled, and behind links.

    Args:
        one, other: Any mm datasets, also several put together. Those that do not say where their
            images are share none.
    """
    return sorted(_files(one) & _files(other))


def _files(dataset: BaseDataset) -> set[str]:
    infos = (
        map(dataset.get_data_info, range(len(dataset))) if hasattr(dataset, 'get_data_info') else ()
    )
    return {os.path.realpath(info['img_path']) for info in infos if 'img_path' in info}
