import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample
from sklearn.metrics import mutual_info_score

from pinas_mm.errors import InputError
from pinas_mm.tasks.domains import InformationMaximisation


def evaluate(probabilities, **kwargs):
    evaluator = Evaluator(InformationMaximisation(**kwargs))
    samples = [DataSample().set_pred_score(torch.tensor(p)) for p in probabilities]
    evaluator.process(data_samples=samples)
    return evaluator.evaluate(len(samples))


def test_by_hand():
    found = evaluate([[1.0, 0.0], [0.5, 0.5]])
    marginal = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert found == pytest.approx(
        {
            'information/mutual_information': marginal - np.log(2) / 2,
            'information/marginal_entropy': marginal,
            'information/conditional_entropy': np.log(2) / 2,
        }
    )


def test_it_is_the_mutual_information_of_image_and_class():
    """By scikit-learn's, of classes drawn in exact proportion to the probabilities."""
    counts = np.random.default_rng(0).multinomial(60, np.ones(4) / 4, size=7)
    images, classes = [], []
    for image, row in enumerate(counts):
        images += [image] * 60
        classes += [k for k, count in enumerate(row) for _ in range(count)]
    assert evaluate((counts / 60).tolist())['information/mutual_information'] == pytest.approx(
        mutual_info_score(images, classes)
    )


def test_best_where_predictions_are_certain_and_balanced():
    certain = evaluate(np.eye(5, dtype=np.float32).tolist())
    assert (
        certain['information/mutual_information'] == pytest.approx(np.log(5))
        and certain['information/conditional_entropy'] == 0
    )
    for collapsed in ([[0.0, 1.0, 0.0]] * 4, [[1 / 3] * 3] * 4):
        assert evaluate(collapsed)['information/mutual_information'] == pytest.approx(0, abs=1e-6)


def test_labels_are_not_read():
    probabilities = torch.rand(6, 3).softmax(dim=1)
    metrics = [InformationMaximisation() for _ in range(2)]
    for label, metric in enumerate(metrics):
        metric.process(
            None,
            [DataSample().set_pred_score(p).set_gt_label(label).to_dict() for p in probabilities],
        )
    assert metrics[0].compute_metrics(metrics[0].results) == metrics[1].compute_metrics(
        metrics[1].results
    )


def test_predictions_without_probabilities():
    with pytest.raises(
        InputError, match=r"a prediction with \['pred_label'\], expected pred_score"
    ):
        InformationMaximisation().process(None, [dict(pred_label=torch.tensor(1))])
