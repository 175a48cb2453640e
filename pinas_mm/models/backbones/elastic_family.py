"""Elastic backbones of networks that come in several sizes, such as ResNet-18 to 101."""

from collections.abc import Mapping
from typing import Any, ClassVar

from ...errors import InputError
from ...spaces import SearchSpace
from ...spaces.elastic import ElasticSpace
from ...spaces.subnet_file import SubnetFile, is_file_name
from .elastic import ElasticBackbone


class ElasticFamily(ElasticBackbone):
    """A network in several sizes, each with a space of its own. A subclass sets ``self.space`` to
    that of :meth:`size_of`, and an attribute of the name ``size_key`` to the size.

    Attributes:
        spaces: The space of each size.
        size_key: The config key of the size.
    """

    spaces: ClassVar[Mapping[Any, ElasticSpace]]
    size_key: ClassVar[str]

    def channels(self, full: int | None) -> int:
        assert full is not None  # there is no tail
        # As the network has them: multiples of its narrowest stage.
        narrowest = self.space.stem_channels
        return super().channels(narrowest) * (full // narrowest)

    @property
    def space_arguments(self) -> dict[str, Any]:
        return {self.size_key: getattr(self, self.size_key)}

    @classmethod
    def known_spaces(cls) -> tuple[SearchSpace, ...]:
        return tuple(cls.spaces.values())

    @classmethod
    def space_of(cls, settings: Mapping[str, Any]) -> SearchSpace:
        return cls.spaces[cls.size_of(settings.get(cls.size_key), settings.get('arch'))]

    @classmethod
    def size_of(cls, size: Any, arch: Any) -> Any:
        """The size as given, else that of the network that a subnet file is of.

        Raises:
            InputError: No size and no subnet file of such a network, or an unknown size.
        """
        key, expected = cls.size_key, f'one of {sorted(cls.spaces)}'
        if size is None and is_file_name(arch):
            name = SubnetFile.read(arch).space
            size = next((each for each, space in cls.spaces.items() if space.name == name), None)
        if size is None:
            raise InputError(f'{cls.__name__}: expected {key}, {expected}')
        if size not in cls.spaces:
            raise InputError(f'{key}={size!r} of {cls.__name__}: expected {expected}')
        return size
