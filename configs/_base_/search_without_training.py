# A search by scores that train nothing: the sum that orders archs well on both benchmarks
# (docs/results/ranking.md). A part counts by its weight times the share of random archs that it
# beats.
search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='evolution'),
    num_archs=200,
    score=dict(swap=2, az_trainability=1, az_progressivity=0.5, az_expressivity=0.5),
    input_size=32,
)
