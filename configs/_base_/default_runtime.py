_base_ = 'mmpretrain::_base_/default_runtime.py'
custom_imports = dict(imports=['pinas_mm'])
randomness = dict(seed=0)
default_hooks = dict(epoch_seed=dict(type='pinas_mm.EpochSeedHook'))
# Every step runs other paths: average exactly their gradients over the ranks.
model_wrapper_cfg = dict(type='pinas_mm.ActiveGradientDataParallel')
