# What tools/adapt.py changes of a config for each of its steps: the supernet's fine-tuning, the search, the subnet's fine-tuning.
supernet_stage = dict(custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')])
search_loop = dict(
    type='pinas_mm.SearchLoop', searcher=dict(type='partition_tree'), num_archs=1000, calibration_batches=49, input_size=224)
subnet_stage = dict()
