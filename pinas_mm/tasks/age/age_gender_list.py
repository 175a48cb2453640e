"""Lists of faces with ages and genders, such as those of MORPH."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...errors import InputError
from ...fileio import read_text
from ...registry import DATASETS
from ...schema import shown
from .age_gender import AgeGenderDataset

IN_ORDER = ('image', 'age', 'gender')


@DATASETS.register_module()
class AgeGenderList(AgeGenderDataset):
    """Faces named in a list: a table with a header (``.csv``), or plain text with ``image age
    gender`` in each line.

    MORPH (Ricanek and Tesafaye, FG 2006) comes with such a table, and has no split of its own;
    published splits are tables too. Those of Cao et al. (Pattern Recognition Letters 2020) have the
    image in a column without a name, and count ages from the youngest person, 16:
    ``columns=dict(image='', age='age', gender='Male'), genders=dict(male=['1'], female=['-1']),
    age_offset=16``.

    Args:
        tasks, ages: See :class:`AgeGenderDataset`; ages of 0 to 100 by default, as Rothe et al.
            (DEX), IJCV 2018.
        ann_file: The list, below ``data_root``. Images are below ``data_prefix``, which is below
            ``data_root`` too.
        columns: The table's columns of ``image``, ``age`` and ``gender``. Not read for plain text,
            where the order is this one, nothing is quoted, and columns that no task asks for may be
            left out at the end.
        genders: How each gender is written, in the order of the labels.
        age_offset: Years that are added to each age of the list.
        kwargs: As in mmengine's ``BaseDataset``.

    Raises:
        InputError: No such list, a missing column, or what :class:`AgeGenderDataset` raises.
    """

    def __init__(
        self,
        tasks: str | Sequence[str],
        ann_file: str,
        ages: Sequence[int] = (0, 100),
        columns: Mapping[str, str] = dict(image='image', age='age', gender='gender'),
        genders: Mapping[str, Sequence[str]] = dict(
            male=('M', 'm', 'male', 'Male', '0'), female=('F', 'f', 'female', 'Female', '1')
        ),
        age_offset: int = 0,
        **kwargs: Any,
    ) -> None:
        self.columns = dict(columns)
        self.age_offset = age_offset
        super().__init__(tasks, ages, genders, ann_file=ann_file, **kwargs)

    def faces(self) -> Iterator[dict[str, str]]:
        asked = ('image', *self.tasks)
        text = io.StringIO(read_text(self.ann_file), newline='')
        if self.ann_file.endswith('.csv'):
            table = csv.DictReader(text, strict=True)
            names = {name: self.columns.get(name, name) for name in asked}
            rows: Iterable[dict[str, str]] = _read(table, self.ann_file)
            missing = [name for name in names.values() if name not in (table.fieldnames or ())]
            if missing:
                raise InputError(
                    f'{self.ann_file}: no column {missing[0]!r} in {shown(table.fieldnames)} '
                    f'(`columns` of {type(self).__name__})'
                )
        else:
            rows = (dict(zip(IN_ORDER, line.split())) for line in text if line.strip())
            names = dict(zip(asked, asked))
        for number, row in enumerate(rows, start=1):
            face = {name: row.get(column) or '' for name, column in names.items()}
            if any(row.get(column) is None for column in names.values()):
                raise InputError(
                    f'{self.ann_file}: face {number} has {shown(list(row.values()))}, expected '
                    f'{list(asked)}'
                )
            yield {name: text.strip() for name, text in face.items()}


def _read(table: csv.DictReader, path: str) -> list[dict[str, str]]:
    """All rows; also the header is read here.

    Raises:
        InputError: It is no table of comma-separated values.
    """
    try:
        return list(table)
    except csv.Error as error:
        raise InputError(f'{path}: not CSV: {error}') from error
