# The likelihood of the labels is added to the sum that trains nothing: they err differently
# (docs/ranking.md).
_base_ = './search_without_training.py'

search_loop = dict(score_samples=1000, score={'score/neg_loss': 1})
