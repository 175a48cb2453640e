import numpy as np
import pytest
from mmcv import imread
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset

from pinas_mm.datasets import Digits
from pinas_mm.errors import InputError
from pinas_mm.tasks.domains.digit_domains import LOOKS, write_digit_domain


def images(folder, look):
    write_digit_domain(folder / look, look, num_images=12)
    return {path.stem: imread(path).astype(int) for path in sorted((folder / look).glob('*/*.png'))}


@pytest.mark.slow
def test_all_looks_show_the_same_digits_in_folders_of_classes(tmp_path):
    init_default_scope('mmpretrain')
    looks = {look: images(tmp_path, look) for look in LOOKS}
    digits = Digits('learning', indices=12)
    for look in LOOKS:
        dataset = CustomDataset(data_root=str(tmp_path / look))
        assert len(dataset) == 12
        for index in range(12):
            info = dataset.get_data_info(index)
            stem = info['img_path'].rsplit('/', 1)[1].removesuffix('.png')
            assert dataset.CLASSES[info['gt_label']] == str(
                digits.get_data_info(int(stem))['gt_label']
            )
    for stem, grey in looks['grey'].items():
        cover = digits.get_data_info(int(stem))['img'].astype(int)
        assert np.array_equal(grey, cover) and np.array_equal(looks['inverted'][stem], 255 - cover)
        noise = (looks['noisy'][stem] - cover)[(cover > 100) & (cover < 155)]
        assert noise.size == 0 or 20 < noise.std() < 100
        # Two colours and what lies between them: every channel is a line in the grey value.
        for channel in range(3):
            line = np.polyfit(
                cover[..., channel].ravel(), looks['coloured'][stem][..., channel].ravel(), 1
            )
            assert (
                np.abs(
                    np.polyval(line, cover[..., channel]) - looks['coloured'][stem][..., channel]
                ).max()
                < 1
            )
        assert np.ptp(looks['coloured'][stem], axis=(0, 1)).max() >= 99


def test_colours_are_those_of_the_seed(tmp_path):
    for folder, seed in (('a', 0), ('b', 0), ('c', 1)):
        write_digit_domain(tmp_path / folder, 'coloured', num_images=3, seed=seed)
    first, second, other = (
        [path.read_bytes() for path in sorted((tmp_path / folder).glob('*/*.png'))]
        for folder in 'abc'
    )
    assert first == second and first != other


@pytest.mark.parametrize('noise', [20, 120])
def test_noise_is_as_strong_as_asked(tmp_path, noise):
    """On the black of the background, where negative noise is cut off: half a normal
    distribution."""
    write_digit_domain(tmp_path, 'noisy', num_images=20, noise=noise)
    pictures = np.stack(
        [imread(path) for path in sorted(tmp_path.glob('*/*.png'), key=lambda path: path.stem)]
    )
    digits = np.stack([sample['img'] for sample in Digits('learning').load_data_list()[:20]])
    assert pictures[digits == 0].mean() == pytest.approx(noise / np.sqrt(2 * np.pi), rel=0.03)


def test_an_unknown_look(tmp_path):
    with pytest.raises(InputError, match="look='blurred', expected one of"):
        write_digit_domain(tmp_path, 'blurred')
