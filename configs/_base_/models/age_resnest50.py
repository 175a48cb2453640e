# One class per year, and the expected value over them (Rothe et al., DEX). Ordinal instead (Cao et
# al., CORAL): `model = dict(head=dict(type='pinas_mm.CoralAgeHead'))`. The head's ages are those of
# the data.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='pinas_mm.SearchableResNeSt'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='pinas_mm.ExpectedAgeHead', in_channels=2048, ages=None),
)
# Searched by age/neg_mae.
val_evaluator = dict(type='pinas_mm.AgeMetric')
test_evaluator = val_evaluator
