"""Images that two datasets share: a held-out part must share none with what is learned from."""

import os

from torch.utils.data import Dataset

from .wrappers import sample_infos


def shared_images(one: Dataset, other: Dataset) -> list[str]:
    """The image files that both datasets have, in the order of their names; however they are
    spelled, and behind links.

    Args:
        one, other: Any mm datasets, also wrappers. Those that do not say where their
            images are share none.
    """
    return sorted(_files(one) & _files(other))


def _files(dataset: Dataset) -> set[str]:
    infos = sample_infos(dataset)
    return {os.path.realpath(info['img_path']) for info in infos if 'img_path' in info}
