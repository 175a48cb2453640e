# DSNAS within passes_200k.py: a third of training searches, a fifth of that before the logits move
# (published are 80 of 240 epochs, and 15 of 80). Adam moves a logit by about its lr in a step: that
# goes with the number of steps, here hundreds instead of 100,000.
dsnas_optim_wrapper = dict(
    type='pinas_mm.DSNASOptimWrapper',
    logits_optimizer=dict(type='Adam', lr=0.03, betas=(0.5, 0.999)),
)
dsnas_hook = dict(
    type='pinas_mm.DSNASHook', search=200_000 // 128 // 3, warm_up=200_000 // 128 // 15
)
