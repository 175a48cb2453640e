"""A space whose networks are small enough to be worked out by hand."""

import torch
from torch import nn

from pinas_mm.models.backbones import SearchableBackbone
from pinas_mm.spaces import Candidate, SearchSpace, chain

CHOICES = (
    Candidate('identity', dict(kind='identity')),
    Candidate('conv', dict(kind='conv')),
    Candidate('none', dict(kind='none')),
)


class TinyNet(SearchableBackbone):
    """A 1x1 convolution, then two positions: identity, BN-ReLU6-convolution, or nothing at all."""

    space = SearchSpace('tiny', (CHOICES,) * 2, chain((2,), (2,), (1,), 2), 2)

    def build_stem(self):
        return self.conv(3, 2)

    def build_candidate(self, position, candidate):
        if candidate.block['kind'] == 'conv':
            return nn.Sequential(self.norm(2), self.activation(), self.conv(2, 2))
        return nn.Identity() if candidate.block['kind'] == 'identity' else Nothing()

    def activation(self):
        return nn.ReLU6(inplace=True)

    def residual_norms(self):
        return iter(())


class TinyTanhNet(TinyNet):
    """The same without an activation whose signs could be counted."""

    def activation(self):
        return nn.Tanh()


class Nothing(nn.Module):
    def forward(self, x):
        return 0 * x


def tiny_net():
    torch.manual_seed(0)
    return TinyNet()
