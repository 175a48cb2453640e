# A score that trains nothing, by the weight of its parts: the sum that orders archs well on both
# benchmarks (docs/ranking.md). A part counts by the share of random archs that it beats.
training_free = dict(
    naswot=1, swap=1, az_progressivity=1, az_trainability=1, az_expressivity=0.5, depth=0.5
)
