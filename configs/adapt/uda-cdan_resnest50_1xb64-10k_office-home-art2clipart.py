_base_ = './uda-dann_resnest50_1xb64-10k_office-home-art2clipart.py'

model = dict(alignment=dict(type='pinas_mm.CDAN'))
