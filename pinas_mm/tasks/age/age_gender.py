"""What data sets of faces with ages and genders have in common: labels for one task or for both,
and their checks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from ...errors import InputError
from ...schema import dotted, shown

TASKS = ('age', 'gender')


class AgeGenderDataset(BaseDataset):
    """Faces with an age in whole years, a gender, or both; a subclass says where they are written.

    Each sample has ``img_path`` and ``gt_label``. For one task that is a number: the age in years,
    or the index of the gender in ``metainfo['classes']``. For a list of tasks it is such a number
    per task, as mmpretrain's ``PackMultiTaskInputs`` takes it (``multi_task_fields=['gt_label']``).

    Args:
        tasks: ``'age'``, ``'gender'``, or a list of them for a model of several tasks. What is not
            asked is not read.
        ages: The youngest and the oldest age that may occur, in years; the head's, so that training
            cannot stop at an age it has no output for.
        genders: How each gender is written, in the order of the labels.
        data_prefix: Folder of the images, below ``data_root``.
        kwargs: As in mmengine's ``BaseDataset``.

    Raises:
        InputError: Another task; no face at all; an age or a gender that is none, or an age outside
            ``ages``: with the image, and where it is written.
    """

    age_offset = 0

    def __init__(
        self,
        tasks: str | Sequence[str],
        ages: Sequence[int],
        genders: Mapping[str, Sequence[str]],
        data_prefix: str = '',
        **kwargs: Any,
    ) -> None:
        self.tasks = (tasks,) if isinstance(tasks, str) else tuple(tasks)
        if (
            not self.tasks
            or len(set(self.tasks)) < len(self.tasks)
            or not set(self.tasks) <= set(TASKS)
        ):
            raise InputError(
                f'tasks={tasks!r} of {type(self).__name__}: expected one of {TASKS} or a list of '
                f'them'
            )
        self.single = isinstance(tasks, str)
        self.ages = tuple(ages)
        self.genders = {
            text: label for label, texts in enumerate(genders.values()) for text in texts
        }
        super().__init__(
            metainfo=dict(classes=tuple(genders)) if tasks == 'gender' else dict(tasks=self.tasks),
            data_prefix=dict(img_path=data_prefix),
            **kwargs,
        )

    @property
    def image_folder(self) -> str:
        return self.data_prefix['img_path']

    def faces(self) -> Iterator[dict[str, str]]:
        """The ``image`` of each face, below ``data_prefix``, and its ``age`` and ``gender`` as
        written, where they are asked."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict[str, Any]]:
        samples = []
        try:
            for face in self.faces():
                path = os.path.join(self.image_folder, face['image'])
                where = f'{self.ann_file}: {dotted([face["image"]])}' if self.ann_file else path
                labels = {
                    task: getattr(self, f'read_{task}')(face[task], where) for task in self.tasks
                }
                samples.append(
                    dict(img_path=path, gt_label=labels[self.tasks[0]] if self.single else labels)
                )
        except OSError as error:
            raise InputError(f'{type(self).__name__}: {error}') from error
        if not samples:
            raise InputError(
                f'{type(self).__name__}: no face in {self.ann_file or self.image_folder}'
            )
        return samples

    def read_age(self, text: str, where: str) -> int:
        """The age in years of an age as written."""
        try:
            age = float(text) + self.age_offset
        except ValueError:
            age = float('nan')
        if not age.is_integer():
            raise InputError(f'{where}: age {shown(text)}, expected a whole number of years')
        if not self.ages[0] <= age <= self.ages[1]:
            raise InputError(
                f'{where}: age {age:.0f}, expected {self.ages[0]} to {self.ages[1]} (`ages` of '
                f'{type(self).__name__})'
            )
        return int(age)

    def read_gender(self, text: str, where: str) -> int:
        """The label of a gender as written."""
        if text not in self.genders:
            raise InputError(
                f'{where}: gender {shown(text)}, expected one of {list(self.genders)} (`genders` '
                f'of {type(self).__name__})'
            )
        return self.genders[text]
