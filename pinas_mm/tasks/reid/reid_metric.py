"""Mean average precision and cumulative matching of person re-identification, with cameras."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from mmengine.evaluator import BaseMetric
from sklearn.metrics import average_precision_score, pairwise_distances_chunked

from ...errors import InputError
from ...registry import METRICS
from ...schema import Count
from .person_reid import JUNK, check_queries

# MiB of distances held at a time: queries times gallery of the full test sets would take 430.
WORKING_MEMORY = 64


@METRICS.register_module()
class ReIDMetric(BaseMetric):
    """How well the gallery, sorted by its distance to a query, has the same person in front (Zheng
    et al., ICCV 2015, section 5).

    For each query, gallery images of the same person by the same camera are left out, and junk
    (person -1). All else is in the ranking: the same person by other cameras is a match; other
    persons and distractors (0) are not.

    ``mAP`` is the mean over queries of the average precision that is usual in re-identification:
    the mean, over the matches, of the precision at each (scikit-learn's
    ``average_precision_score``: a sum over steps. The code published with Market-1501 interpolates
    between steps, which gives slightly less). ``rank1`` and so on are the share of queries with a
    match among so many first images (CMC). All in %. Of images at an equal distance none is in
    front: a match counts from where the last of them is.

    Not mmdet's ReIDMetrics: that knows no cameras, and makes every image a query.

    Args:
        distance: ``'euclidean'``, which mmdet's triplet loss trains on the same features, or
            ``'cosine'``.
        ranks: Of the CMC; those that papers report.
        collect_device, prefix: As in mmengine's metrics.

    Raises:
        InputError: An unknown distance; while processing, samples without ``camera`` and ``query``;
            in the end, what :func:`check_queries` raises.
    """

    default_prefix = 'reid'

    def __init__(
        self,
        distance: Literal['euclidean', 'cosine'] = 'euclidean',
        ranks: Sequence[Count] = (1, 5, 10),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.distance = distance
        self.ranks = tuple(ranks)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps of every sample its ``pred_feature`` ``(D, )``, and who was seen by which
        camera."""
        for sample in data_samples:
            missing = [key for key in ('pred_feature', 'camera', 'query') if key not in sample]
            if missing:
                raise InputError(
                    f"ReIDMetric: a sample without {missing}: expected the results of mmdet's "
                    f'BaseReID on samples of '
                    'pinas_mm.PersonReID whose pipeline ends in pinas_mm.PackReIDImage'
                )
            self.results.append(
                dict(
                    feature=sample['pred_feature'].float().numpy(force=True),
                    person=int(sample['gt_label']['label']),
                    camera=sample['camera'],
                    query=sample['query'],
                    image=sample['img_path'],
                )
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        of = {
            key: [result[key] for result in results]
            for key in ('feature', 'person', 'camera', 'query', 'image')
        }
        check_queries(
            of['person'],
            of['camera'],
            of['query'],
            of['image'],
            f'ReIDMetric: {len(results)} images',
        )
        features, persons, cameras, query = (
            np.array(of[key]) for key in ('feature', 'person', 'camera', 'query')
        )
        gallery = ~query & (persons != JUNK)

        def score(distances: np.ndarray, start: int) -> np.ndarray:
            """Average precision and the rank of the first match, ``(n, 2)``, of the ``n`` queries
            from ``start`` on."""
            scores = []
            for distance, person, camera in zip(
                distances, persons[query][start:], cameras[query][start:]
            ):
                same = persons[gallery] == person
                ranked = ~(same & (cameras[gallery] == camera))
                distance, match = distance[ranked], same[ranked]
                scores.append(
                    (
                        average_precision_score(match, -distance),
                        np.count_nonzero(distance <= distance[match].min()),
                    )
                )
            return np.array(scores)

        chunks = pairwise_distances_chunked(
            features[query],
            features[gallery],
            metric=self.distance,
            reduce_func=score,
            working_memory=WORKING_MEMORY,
        )
        precisions, first = np.concatenate(list(chunks)).T
        return dict(
            mAP=100 * precisions.mean(),
            **{f'rank{rank}': 100 * (first <= rank).mean() for rank in self.ranks},
        )
