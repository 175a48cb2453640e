_base_ = './age-expected_resnest50_1xb64-30e_utkface.py'

model = dict(head=dict(type='pinas_mm.CoralAgeHead'))
