"""Pictures with an age and a gender that can be seen in them, written as the real data sets are
laid out.

A handwritten digit is a person: its strokes are the brighter the older, red for a man and blue for
a woman."""

import csv

import mmcv
import numpy as np
from sklearn.datasets import load_digits

AGES = (20, 59)
GENDERS = ('M', 'F')


def people(count, seed=0):
    """Pictures, BGR ``(32, 32, 3)``, with their ages and their genders' indices."""
    rng = np.random.default_rng(seed)
    images = (
        load_digits().images[rng.permutation(1797)[:count]].repeat(4, axis=1).repeat(4, axis=2) / 16
    )
    ages, genders = rng.integers(AGES[0], AGES[1] + 1, count), rng.integers(2, size=count)
    brightness = 40 + 215 * (ages - AGES[0]) / (AGES[1] - AGES[0])
    for image, age, gender, bright in zip(images, ages, genders, brightness):
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[..., 0 if gender else 2] = np.rint(image * bright)
        yield picture, int(age), int(gender)


def write_list(root, count=64, seed=0, name='train'):
    """``<root>/<name>.csv`` and ``<root>/Album2/<name>/…`` as MORPH has them: a table, and file
    names such as 009055_1M54.png."""
    rows = []
    for index, (picture, age, gender) in enumerate(people(count, seed)):
        rows.append(
            dict(
                image=f'Album2/{name}/{index:06}_1{GENDERS[gender]}{age}.png',
                age=age,
                gender=GENDERS[gender],
                race='B',
            )
        )
        mmcv.imwrite(picture, str(root / rows[-1]['image']))
    with open(root / f'{name}.csv', 'w', newline='') as file:
        table = csv.DictWriter(file, ['race', 'image', 'age', 'gender'])
        table.writeheader()
        table.writerows(rows)
    return rows


def write_published_lists(root, learning, test):
    """MORPH's as Cao et al. publish them, ``morph2_train.csv`` and ``morph2_test.csv``: ages count
    from 16, men are 1, women -1, and the image's column has no name."""
    (root / 'images').mkdir(parents=True, exist_ok=True)
    for part, count, seed in (('train', learning, 0), ('test', test, 1)):
        with open(root / f'morph2_{part}.csv', 'w', newline='') as file:
            table = csv.writer(file)
            table.writerow(['', 'id_num', 'Male', 'age', 'quality'])
            for index, (picture, age, gender) in enumerate(people(count, seed)):
                name = f'{index:06}_{part}{age}.png'
                table.writerow([name, index, -1 if gender else 1, age - 16, 'GOOD'])
                mmcv.imwrite(picture, str(root / 'images' / name))


def write_utkface(root, count=64, seed=0):
    """One folder of files named as in UTKFace."""
    rows = []
    for index, (picture, age, gender) in enumerate(people(count, seed)):
        rows.append(
            dict(
                image=f'{age}_{gender}_{index % 5}_{20170116000000000 + index}.jpg.chip.jpg',
                age=age,
                gender=gender,
            )
        )
        mmcv.imwrite(picture, str(root / rows[-1]['image']))
    return rows
