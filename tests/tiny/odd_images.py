"""Folders of images as users have them: few, and of many kinds."""

from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image

from pinas_mm.datasets.named_loading import name_unreadable_files


def write_odd_images(root, classes=('cat', 'dog', 'frog'), train=20, test=4, seed=0):
    """``<root>/{train,test}/<class>/…``: JPEG, PNG with alpha, greyscale, 16-bit, palette, CMYK,
    WebP, BMP, rotated by EXIF, endings in upper case, spaces and other letters in names, very small
    and very long ones, and a file that is no image."""
    rng = np.random.default_rng(seed)
    for part, count in (('train', train), ('test', test)):
        for number, name in enumerate(classes):
            folder = Path(root, part, name)
            folder.mkdir(parents=True)
            (folder / 'notes.txt').write_text('not an image')
            for index in range(count):
                pixels = rng.integers(0, 120, (*rng.integers(20, 60, 2), 3), dtype=np.uint8)
                pixels[..., number % 3] += 120
                write_odd_image(folder, index, Image.fromarray(pixels))
    return root


def write_odd_image(folder, index, image):
    """The ``index``-th kind of image; a plain JPEG from the twelfth on."""
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    wide = np.asarray(image.convert('L')).astype(np.uint16) * 257
    kinds = [
        (image.convert('RGBA'), f'{index} alpha.png', {}),
        (image.convert('L'), f'{index}_grey.jpg', {}),
        (Image.fromarray(wide), f'{index}_16bit.png', {}),
        (image.convert('P'), f'{index}_palette.png', {}),
        (image.convert('CMYK'), f'{index}_cmyk.jpg', {}),
        (image, f'{index}.webp', {}),
        (image, f'{index}.bmp', {}),
        (image, f'{index}_rotated.jpg', dict(exif=exif)),
        (image, f'{index}.JPG', dict(format='JPEG')),
        (image, f'{index}_bild_ü_图.jpg', {}),
        (image.resize((8, 8)), f'{index}_small.png', {}),
        (image.resize((600, 40)), f'{index}_long.jpg', {}),
    ]
    kind, name, options = kinds[index] if index < len(kinds) else (image, f'{index}.jpg', {})
    kind.save(folder / name, **options)


def with_map(folder):
    """A dataset of one image and its segmentation map."""
    import mmseg.datasets.transforms  # noqa: F401, registers them

    (folder / 'img').mkdir()
    (folder / 'ann').mkdir()
    Image.new('RGB', (8, 8)).save(folder / 'img/2.jpg')
    Image.new('L', (8, 8)).save(folder / 'ann/2.png')
    info = dict(
        img_path=f'{folder}/img/2.jpg',
        seg_map_path=f'{folder}/ann/2.png',
        reduce_zero_label=False,
        seg_fields=[],
    )
    dataset = BaseDataset(
        pipeline=[dict(type='LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')],
        serialize_data=False,
        lazy_init=True,
    )
    dataset.data_list = [info]
    dataset._fully_initialized = True
    name_unreadable_files(dataset)
    return dataset


def corrupt(path):
    """Makes an image file one that no library decodes."""
    Path(path).write_bytes(b'\xff\xd8\xff not a picture')


def cut(path):
    """Takes the second half of an image file away, as an interrupted copy does."""
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])
