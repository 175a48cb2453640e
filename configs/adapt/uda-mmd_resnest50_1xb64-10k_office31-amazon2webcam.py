_base_ = './uda-dann_resnest50_1xb64-10k_office31-amazon2webcam.py'

model = dict(alignment=dict(type='pinas_mm.MMD'))
