"""Person re-identification in the directory layouts of Market-1501 and DukeMTMC-reID, which are the
same but for the file names."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mmengine.dataset import BaseDataset

from ...errors import InputError, TooFewSamplesError
from ...registry import DATASETS
from ...schema import Seed, WholeNumber

# 0002_c1s1_000451_03.jpg in Market-1501, 0005_c2_f0046985.jpg in DukeMTMC-reID: the person, then
# the camera.
NAME = re.compile(r'(-1|\d+)_c(\d+)(?:s\d+)?_')
# What Market-1501 writes in the place of a person: a box that is no good, to be ignored, and one
# that shows nobody who is asked for.
JUNK, DISTRACTOR = -1, 0


@DATASETS.register_module()
class PersonReID(BaseDataset):
    """Market-1501 (Zheng et al., ICCV 2015), DukeMTMC-reID (Zheng et al., ICCV 2017) and all else
    in their layout.

    ``bounding_box_train/``, ``query/`` and ``bounding_box_test/`` (the gallery) below
    ``data_root``. Junk (person -1) is left out, distractors (0000) stay in the gallery, as is
    usual. Each sample has ``img_path``, ``gt_label``, ``camera`` (as in the file name) and
    ``query`` (bool): query and gallery are one dataset, so that one loader and one metric
    (:class:`ReIDMetric`) see both.

    Not mmdet's ReIDDataset: that draws negative persons by their place in a list where their ids
    are meant, and knows neither cameras nor queries.

    Args:
        data_root: The folder of the three.
        split: ``'train'``, the persons to learn from, relabelled 0 to n - 1 in the order of their
            ids (which are in ``metainfo['classes']``); ``'held_out'``, the other persons of the
            training set, for search scores; ``'test'``, query and gallery. The latter two keep the
            ids of the file names.
        held_out: How many persons of the training set are held out, drawn by ``split_seed``:
            re-identification is of persons never seen, so searches are scored on such. Each of them
            that two cameras have seen has one query in every camera that has two or more images of
            it, all else is the gallery. 0 holds none out.
        split_seed: Seed of the held-out persons and of their queries.
        kwargs: As in mmengine's ``BaseDataset``.

    Raises:
        InputError: An unknown split, no image in a folder, a name of another form, not so many
            persons, or what :func:`check_queries` raises.
    """

    def __init__(
        self,
        data_root: str,
        split: Literal['train', 'held_out', 'test'] = 'train',
        held_out: WholeNumber = 0,
        split_seed: Seed = 0,
        **kwargs: Any,
    ) -> None:
        if split not in ('train', 'held_out', 'test'):
            raise InputError(f"PersonReID: split={split!r}, expected 'train', 'held_out' or 'test'")
        self.split = split
        self.held_out = held_out
        self.split_seed = split_seed
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        if self.split == 'test':
            gallery = self._images('bounding_box_test')
            samples = [dict(sample, query=True) for sample in self._images('query')] + gallery
        else:
            samples = self._training_part(
                [
                    sample
                    for sample in self._images('bounding_box_train')
                    if sample['gt_label'] > DISTRACTOR
                ]
            )
        if self.split != 'train':
            check_queries(
                [sample['gt_label'] for sample in samples],
                [sample['camera'] for sample in samples],
                [sample['query'] for sample in samples],
                [sample['img_path'] for sample in samples],
                f'PersonReID: {self.split} of {self.data_root!r}',
            )
        return samples

    def _images(self, folder: str) -> list[dict[str, Any]]:
        """The images of a folder, without junk."""
        path = Path(self.data_root) / folder
        samples = []
        for file in sorted(path.glob('*.jpg')):
            name = NAME.match(file.name)
            if name is None:
                raise InputError(
                    f'PersonReID: {file}: expected a name such as 0002_c1s1_000451_03.jpg or '
                    f'0005_c2_f0046985.jpg'
                )
            samples.append(
                dict(img_path=str(file), gt_label=int(name[1]), camera=int(name[2]), query=False)
            )
        if not samples:
            raise InputError(f'PersonReID: no image (*.jpg) in {path}')
        return [sample for sample in samples if sample['gt_label'] != JUNK]

    def _training_part(self, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of the persons to learn from, relabelled, or of those held out, with queries among
        them."""
        persons = sorted({sample['gt_label'] for sample in samples})
        least = int(self.split == 'held_out')
        if not least <= self.held_out < len(persons):
            raise InputError(
                f'PersonReID: held_out={self.held_out} of {len(persons)} persons in '
                f'{self.data_root!r}, expected at least '
                f'{least} for split={self.split!r}, and one person left to learn from'
            )
        rng = np.random.default_rng(self.split_seed)
        held_out = {persons[i] for i in rng.permutation(len(persons))[: self.held_out]}
        samples = [
            sample
            for sample in samples
            if (sample['gt_label'] in held_out) == (self.split == 'held_out')
        ]
        if self.split == 'held_out':
            return _draw_queries(samples, rng)
        kept = sorted(set(persons) - held_out)
        self._metainfo['classes'] = tuple(map(str, kept))
        labels = {person: label for label, person in enumerate(kept)}
        return [dict(sample, gt_label=labels[sample['gt_label']]) for sample in samples]


def _draw_queries(samples: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Marks the queries of held-out persons: in every camera they are of one image, and the camera
    keeps another for the gallery."""
    taken: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, sample in enumerate(samples):
        taken[sample['gt_label']][sample['camera']].append(index)
    queries = {
        int(rng.choice(indices))
        for cameras in taken.values()
        if len(cameras) > 1
        for indices in cameras.values()
        if len(indices) > 1
    }
    return [dict(sample, query=index in queries) for index, sample in enumerate(samples)]


def check_queries(
    persons: Sequence[int],
    cameras: Sequence[int],
    query: Sequence[bool],
    names: Sequence[str],
    source: str,
) -> None:
    """Checks that every query can be answered: the gallery has the same person, seen by another
    camera.

    Args:
        persons, cameras, query, names: Of every image.
        source: What they are, for the message.

    Raises:
        TooFewSamplesError: No query, an empty gallery, or queries without a match; the message
            names the first ones.
    """
    seen_by: dict[int, set[int]] = defaultdict(set)
    for person, camera, asked in zip(persons, cameras, query):
        if not asked and person != JUNK:
            seen_by[person].add(camera)
    if not seen_by or not any(query):
        raise TooFewSamplesError(
            f'{source}: {"an empty gallery" if not seen_by else "no query"} ({len(persons)} '
            f'images, {sum(query)} of them '
            'queries); expected both'
        )
    unmatched = [
        name
        for person, camera, asked, name in zip(persons, cameras, query, names)
        if asked and (person <= DISTRACTOR or not seen_by[person] - {camera})
    ]
    if unmatched:
        listed = [Path(name).name for name in unmatched[:5]] + ['...'] * (len(unmatched) > 5)
        raise TooFewSamplesError(
            f'{source}: {len(unmatched)} of {sum(query)} queries without a match (the same '
            f'person, by another camera) in the gallery: {", ".join(listed)}'
        )
