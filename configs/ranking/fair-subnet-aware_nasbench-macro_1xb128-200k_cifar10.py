_base_ = './fair_nasbench-macro_1xb128-200k_cifar10.py'

# The paths of a step share the candidate of the slot that groups momentum, as the authors have it:
# else every group steps every time.
model = dict(shared_slot=0)
optim_wrapper = dict(type='pinas_mm.SubnetAwareOptimWrapper', input_size=32)
