_base_ = '../ranking/uniform_shufflenetv2_1xb128-200k_cifar10.py'

# The searched arch of a single-path supernet (SPOS), which is then trained from scratch: what DSNAS
# is compared with.
search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='evolution'),
    num_archs=200,
    score_samples=1000,
    input_size=32,
)
