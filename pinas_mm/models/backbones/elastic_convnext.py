"""mmpretrain's ConvNeXts with a choice of depth, kernel size and MLP ratio."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar, Literal

from mmpretrain.models import ConvNeXt
from torch import Tensor, nn

from ...errors import InputError
from ...registry import MODELS
from ...schema import NotNegative, Probability
from ...spaces import Arch
from ...spaces.elastic import ElasticSpace
from ...spaces.elastic_convnext import ELASTIC_CONVNEXTS
from .elastic import ElasticBlock, InnerChannels
from .elastic_family import ElasticFamily


@MODELS.register_module()
class ElasticConvNeXt(ElasticFamily):
    """mmpretrain's ConvNeXt-T, S or B (Liu et al., CVPR 2022) as supernet or subnet: the first
    blocks of every stage run, and of every block the centre of its depthwise kernel and the first
    inner channels of its MLP.

    Its parameters have mmpretrain's names: ``init_cfg=dict(type='Pretrained', checkpoint=...,
    prefix='backbone.')`` starts the search from a published checkpoint. Of the norms on the outputs
    a classifier's checkpoint has the last one alone; the others then start as in mmpretrain.
    ConvNeXt V2 is another network: its global response normalisation compares all inner channels,
    so that a part of them is no part of it.

    Args:
        size: Of the whole network, mmpretrain's ``arch``. Defaults to that of the subnet file that
            ``arch`` names.
        arch: The arch of a subnet; see :class:`ElasticBackbone`.
        drop_path_rate: Stochastic depth of the last block; it rises to it linearly. A block keeps
            its rate in every arch, so that a shallow one is regularised less.
        layer_scale_init_value, linear_pw_conv: As in mmpretrain's ConvNeXt: where its weights come
            from decides.
        gap_before_final_norm: Whether outputs are ``(N, C)``, averaged over pixels before their
            norm, as classifiers have it. False for feature maps. This and the two above default to
            what the subnet file that ``arch`` names has.
        norm_cfg: mmpretrain's ``LN2d``, with another ``eps`` where wanted.
        init_cfg: The default is mmpretrain's for ConvNeXt.
        kwargs: See :class:`ElasticBackbone`; there is no ``conv_cfg``.

    Raises:
        InputError: No size and no subnet file of a ConvNeXt, another norm, a ``conv_cfg``, or see
            :class:`ElasticBackbone`.
    """

    spaces: ClassVar[Mapping[str, ElasticSpace]] = ELASTIC_CONVNEXTS
    size_key = 'size'
    kept_arguments = ('layer_scale_init_value', 'linear_pw_conv', 'gap_before_final_norm')

    def __init__(
        self,
        size: Literal['tiny', 'small', 'base'] | None = None,
        arch: Sequence[int] | str | int | PathLike | None = None,
        *,
        drop_path_rate: Probability = 0.0,
        layer_scale_init_value: NotNegative = 1e-6,
        linear_pw_conv: bool = True,
        gap_before_final_norm: bool = True,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
        **kwargs: Any,
    ) -> None:
        self.size = self.size_of(size, arch)
        self.space = self.spaces[self.size]
        norm_cfg = norm_cfg or dict(type='LN2d', eps=1e-6)
        for name, value, fits in (
            ('norm_cfg', norm_cfg, norm_cfg.get('type') == 'LN2d'),
            ('conv_cfg', kwargs.get('conv_cfg'), kwargs.get('conv_cfg') is None),
        ):
            if not fits:
                raise InputError(
                    f'{name}={value} of {type(self).__name__}: expected '
                    f'{"type LN2d" if name == "norm_cfg" else "none"}, as ConvNeXt has it'
                )
        self.drop_path_rate, self.layer_scale_init_value = drop_path_rate, layer_scale_init_value
        self.linear_pw_conv, self.gap_before_final_norm = linear_pw_conv, gap_before_final_norm
        self._is_starting = False
        super().__init__(
            arch,
            norm_cfg=norm_cfg,
            init_cfg=init_cfg
            or [
                dict(type='TruncNormal', layer=['Conv2d', 'Linear'], std=0.02, bias=0.0),
                dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
            ],
            **kwargs,
        )

    def build_network(self) -> nn.Module:
        stages = [
            [position for position in self.space.positions if position.stage == stage]
            for stage in range(self.space.num_stages)
        ]
        return ConvNeXt(
            dict(
                depths=[len(stage) for stage in stages],
                channels=[self.channels(stage[0].out_channels) for stage in stages],
            ),
            in_channels=self.in_channels,
            norm_cfg=self.norm_cfg,
            linear_pw_conv=self.linear_pw_conv,
            drop_path_rate=self.drop_path_rate,
            layer_scale_init_value=self.layer_scale_init_value,
            out_indices=list(self.out_indices),
        )

    def block(self, index: int) -> ElasticBlock:
        mlp = InnerChannels(writers=('pointwise_conv1',), readers=('pointwise_conv2',))
        name = f'stages.{self.space.positions[index].stage}.{self.space.places[index]}'
        return ElasticBlock(name, (mlp,), kernels=('depthwise_conv',))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the active arch at ``out_indices``, normalised.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Returns:
            One ``(N, C_i, H_i, W_i)`` per entry of ``out_indices``, or ``(N, C_i)`` with
            ``gap_before_final_norm``.
        """
        return tuple(
            norm(x.mean((-2, -1), keepdim=True)).flatten(1)
            if self.gap_before_final_norm
            else norm(x)
            for norm, x in zip(self.output_norms, super().forward(x), strict=True)
        )

    @property
    def output_norms(self) -> list[nn.Module]:
        """One for each output. No block reads what they give."""
        return [self.get_submodule(f'norm{stage}') for stage in self.out_indices]

    # The first block of a stage has the layers before it that halve the map.

    def run(self, index: int, arch: Arch, x: Tensor) -> Tensor:
        for layer in self._downsampling(index):
            x = layer(x)
        return super().run(index, arch, x)

    def part_modules(self, part: int) -> list[nn.Module]:
        if part == 0:
            return [self.downsample_layers[0]]
        return [*self._downsampling(part - 1), *super().part_modules(part)]

    def _downsampling(self, index: int) -> list[nn.Module]:
        stage = self.space.positions[index].stage
        return [self.downsample_layers[stage]] if stage and self.space.places[index] == 0 else []

    def path(self, arch: Arch) -> list[nn.Module]:
        return [*super().path(arch), *self.output_norms]

    # Weights.

    def init_weights(self) -> None:
        self._is_starting = True
        try:
            super().init_weights()
        finally:
            self._is_starting = False

    def slices_of(self, state: Mapping[str, Tensor], prefix: str, source: str) -> dict[str, Tensor]:
        slices = super().slices_of(state, prefix, source)
        if self._is_starting:
            names = [f'norm{stage}.' for stage in self.out_indices]
            slices |= {
                f'{prefix}{name}': value
                for name, value in self.state_dict().items()
                if name.startswith(tuple(names)) and f'{prefix}{name}' not in state
            }
        return slices
