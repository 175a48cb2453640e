import numpy as np
import pytest
import torch

from pinas_mm.errors import InputError
from pinas_mm.tasks.reid import ReIDMetric, reid_metric


def sample(feature, person, camera, query=False, image='x.jpg'):
    return dict(
        pred_feature=torch.tensor(feature, dtype=torch.float32),
        gt_label=dict(label=torch.tensor([person])),
        camera=camera,
        query=query,
        img_path=image,
    )


def score(samples, **kwargs):
    metric = ReIDMetric(**kwargs)
    for start in range(0, len(samples), 7):
        metric.process({}, samples[start : start + 7])
    assert all(not torch.is_tensor(value) for result in metric.results for value in result.values())
    return metric.evaluate(size=len(samples))


def test_a_case_by_hand():
    gallery = [
        sample([0.1], 1, 1),  # by the same camera: left out for the first query
        sample([0.2], -1, 2),  # junk
        sample([0.3], 2, 2),
        sample([0.4], 1, 2),  # the first query's rank 2
        sample([0.5], 0, 3),  # a distractor
        sample([0.6], 1, 3),  # its rank 4
    ]
    first = sample([0.0], 1, 1, query=True)  # AP (1/2 + 2/4) / 2
    second = sample(
        [0.45], 1, 4, query=True
    )  # distances .35, -, .15, .05, .05, .15: nothing left out but junk
    # Its first match shares rank 2 with the distractor, the next has rank 4 with person 2, the last
    # rank 5: (1/2 + 2/4 + 3/5) / 3.
    assert score([first, *gallery])['reid/mAP'] == pytest.approx(50)
    assert score([*gallery, first], ranks=(1, 2, 3)) == {
        'reid/mAP': pytest.approx(50),
        'reid/rank1': 0,
        'reid/rank2': 100,
        'reid/rank3': 100,
    }
    # 0.45 is not exactly between 0.4 and 0.5 in binary: the same on whole numbers.
    scaled = [
        dict(entry, pred_feature=(entry['pred_feature'] * 100).round())
        for entry in (*gallery, first, second)
    ]
    assert score(scaled, ranks=(1, 2)) == {
        'reid/mAP': pytest.approx((50 + 100 * (1 / 2 + 2 / 4 + 3 / 5) / 3) / 2),
        'reid/rank1': 0,
        'reid/rank2': 100,
    }


def brute_force(samples, distance):
    """The definition, image by image."""
    precisions, firsts = [], []
    for query in samples:
        if not query['query']:
            continue
        person, x = query['gt_label']['label'].item(), query['pred_feature'].double().numpy()
        ranking = []
        for image in samples:
            other = image['gt_label']['label'].item()
            if (
                image['query']
                or other == -1
                or (other == person and image['camera'] == query['camera'])
            ):
                continue
            y = image['pred_feature'].double().numpy()
            far = (
                np.linalg.norm(x - y)
                if distance == 'euclidean'
                else 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y)
            )
            ranking.append((far, other == person))
        hits, found = [], 0
        for rank, (_, match) in enumerate(sorted(ranking), start=1):
            if match:
                found += 1
                hits.append(found / rank)
                firsts += [rank] if found == 1 else []
        precisions.append(np.mean(hits))
    return {
        'reid/mAP': 100 * np.mean(precisions),
        **{f'reid/rank{k}': 100 * np.mean(np.array(firsts) <= k) for k in (1, 5, 10)},
    }


def people(rng, dims=6):
    """9 persons, distractors and junk, as 3 cameras see them; half near a centre of their own, all
    shifted by the camera."""
    centres, shifts = rng.normal(size=(11, dims)), rng.normal(size=(3, dims))
    samples = []
    for person in range(-1, 10):
        for camera in range(3):
            for number in range(4):
                feature = centres[person] + 0.5 * shifts[camera] + 0.7 * rng.normal(size=dims)
                samples.append(
                    sample(feature.tolist(), person, camera, query=person > 0 and number == 0)
                )
    return [samples[index] for index in rng.permutation(len(samples))]


@pytest.mark.slow
@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
@pytest.mark.parametrize('memory', [64, 1e-3])  # MiB: all at once, and one query at a time
def test_equals_the_definition(monkeypatch, distance, memory):
    monkeypatch.setattr(reid_metric, 'WORKING_MEMORY', memory)
    for seed in range(5):
        samples = people(np.random.default_rng(seed))
        expected = brute_force(samples, distance)
        assert score(samples, distance=distance) == pytest.approx(expected)
        assert 10 < expected['reid/mAP'] < 80 and expected['reid/rank1'] < expected['reid/rank10']


def test_cameras_matter():
    """Features that tell cameras and not persons: the query's own camera must not help."""
    samples = [
        sample([camera, 0.01 * person, 1], person, camera, query=number == 0)
        for person in (1, 2, 3)
        for camera in (0, 1, 2)
        for number in (0, 1)
    ]
    assert score(samples)['reid/rank1'] == 0
    everywhere = [dict(entry, camera=9 if entry['query'] else entry['camera']) for entry in samples]
    assert score(everywhere)['reid/rank1'] == 100


def test_a_network_that_sees_nothing_is_at_chance():
    samples = [
        sample([0.0, 0], person, camera, query=camera == 0)
        for person in (1, 2, 3, 4)
        for camera in (0, 1)
    ]
    assert score(samples) == {
        'reid/mAP': 25,
        'reid/rank1': 0,
        'reid/rank5': 100,
        'reid/rank10': 100,
    }


def test_half_precision_features_are_taken():
    samples = people(np.random.default_rng(0))
    half = [dict(entry, pred_feature=entry['pred_feature'].bfloat16()) for entry in samples]
    assert score(half) == pytest.approx(brute_force(half, 'euclidean'))


@pytest.mark.parametrize(
    'samples, message',
    [
        ([sample([0.0], 1, 1, query=True)], r'ReIDMetric: 1 images: an empty gallery'),
        (
            [sample([0.0], 1, 1, query=True), sample([0.0], -1, 2)],
            r'an empty gallery \(2 images, 1 of them queries\)',
        ),
        ([sample([0.0], 1, 1)], r'no query \(1 images'),
        (
            [
                sample([0.0], 1, 1, query=True, image='a/0001_c1.jpg'),
                sample([0.0], 1, 1),
                sample([0.0], 2, 2),
            ],
            '1 of 1 queries without a match .*: 0001_c1.jpg$',
        ),
    ],
)
def test_what_cannot_be_scored_is_named(samples, message):
    with pytest.raises(InputError, match=message):
        score(samples)


def test_other_wrong_input_is_named():
    strange = sample([0.0], 1, 1)
    del strange['camera'], strange['query']
    with pytest.raises(InputError, match=r"a sample without \['camera', 'query'\].*PackReIDImage"):
        ReIDMetric().process({}, [strange])
