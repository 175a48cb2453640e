"""How many files a new searcher, space or strategy takes: counted on those that exist."""

import inspect
import tokenize
from pathlib import Path

import pytest

from pinas_mm.models.backbones import ElasticBackbone, SearchableBackbone
from pinas_mm.registry import MODELS
from pinas_mm.searching.searchers import SEARCHERS, Searcher
from pinas_mm.spaces import SPACES
from pinas_mm.strategies import Strategy
from pinas_mm.strategies.blockwise import BlockwiseModel

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'pinas_mm/configs'  # generated
# These read published checkpoints, each of which was made for one existing space.
CONVERTERS = ROOT / 'pinas_mm/converters'


def ours(classes, base):
    """The classes of this package, not those of another test."""
    found = [
        cls for cls in classes if cls.__module__.startswith('pinas_mm.') and issubclass(cls, base)
    ]
    return sorted(found, key=lambda cls: cls.__name__)


SEARCHER_CLASSES = ours(SEARCHERS.values(), Searcher)
BACKBONES = ours(MODELS.module_dict.values(), SearchableBackbone)
ELASTIC = ours(MODELS.module_dict.values(), ElasticBackbone)
STRATEGIES = [
    *ours(MODELS.module_dict.values(), Strategy),
    *ours(MODELS.module_dict.values(), BlockwiseModel),
]


def each(name, classes):
    return pytest.mark.parametrize(name, classes, ids=[cls.__name__ for cls in classes])


def names_in(path):
    """The identifiers of a file's code; comments, docstrings and messages do not count."""
    with tokenize.open(path) as file:
        tokens = tokenize.generate_tokens(file.readline)
        return {token.string for token in tokens if token.type == tokenize.NAME}


@pytest.fixture(scope='module')
def files_that_name():
    names = {
        path: names_in(path)
        for path in (ROOT / 'pinas_mm').rglob('*.py')
        if not path.is_relative_to(CONFIGS) and not path.is_relative_to(CONVERTERS)
    }
    return lambda name: {
        str(path.relative_to(ROOT)) for path, found in names.items() if name in found
    }


def file_of(cls):
    return str(Path(inspect.getfile(cls)).relative_to(ROOT))


def its_test(file):
    """The test of a module, in the same folder under tests/."""
    path = Path(file)
    return ROOT / 'tests' / path.relative_to('pinas_mm').with_name(f'test_{path.name}')


def config_texts():
    return [path.read_text() for path in (ROOT / 'configs').rglob('*.py')]


@each('searcher', SEARCHER_CLASSES)
def test_a_searcher_is_one_file_and_one_test(searcher, files_that_name):
    assert files_that_name(searcher.__name__) == {file_of(searcher)}
    assert its_test(file_of(searcher)).is_file()


@each('backbone', BACKBONES)
def test_a_space_is_one_space_file_one_backbone_file_and_their_tests(backbone, files_that_name):
    name = backbone.space.name
    space_file = f'pinas_mm/spaces/{name}.py'
    assert SPACES[name] is backbone.space
    assert files_that_name(name.upper()) == {space_file, file_of(backbone)}
    assert files_that_name(backbone.__name__) == {file_of(backbone)}
    assert any(f"'pinas_mm.{backbone.__name__}'" in config for config in config_texts())
    assert its_test(space_file).is_file() and its_test(file_of(backbone)).is_file()


@each('backbone', ELASTIC)
def test_an_elastic_network_is_one_space_file_one_backbone_file_and_their_tests(
    backbone, files_that_name
):
    """In the file that is called as the backbone's: the space, or one for each size of the
    network."""
    space_file = f'pinas_mm/spaces/{Path(file_of(backbone)).name}'
    stem = Path(space_file).stem
    for space in backbone.known_spaces():
        assert SPACES[space.name] is space and space.name.startswith(stem)
    name = stem.upper() if hasattr(backbone, 'space') else f'{stem.upper()}S'
    assert files_that_name(name) == {space_file, file_of(backbone)}
    assert files_that_name(backbone.__name__) == {file_of(backbone)}
    assert any(f"'pinas_mm.{backbone.__name__}'" in config for config in config_texts())
    assert its_test(space_file).is_file() and its_test(file_of(backbone)).is_file()


@each('strategy', STRATEGIES)
def test_a_strategy_is_one_file_one_config_and_one_test(strategy, files_that_name):
    assert files_that_name(strategy.__name__) == {file_of(strategy)}
    assert any(f"'pinas_mm.{strategy.__name__}'" in config for config in config_texts())
    assert its_test(file_of(strategy)).is_file()


def test_every_file_of_a_searcher_or_strategy_and_every_space_is_counted():
    alone = [*BACKBONES, *(backbone for backbone in ELASTIC if hasattr(backbone, 'space'))]
    assert {backbone.space.name for backbone in alone} == {
        name for name in SPACES if (ROOT / f'pinas_mm/spaces/{name}.py').is_file()
    }
    # The other files of the two folders. DSNAS learns the arch too: it is no Strategy.
    shared = {
        'searching/searchers': {'base', 'registration'},
        'strategies': {
            'amp',
            'arch_logits',
            'base',
            'blockwise',
            'classifier',
            'dsnas',
            'subnet_aware',
        },
    }
    for room, classes in (('searching/searchers', SEARCHER_CLASSES), ('strategies', STRATEGIES)):
        files = {path.stem for path in (ROOT / 'pinas_mm' / room).glob('*.py')} - {'__init__'}
        assert files - shared[room] == {Path(file_of(cls)).stem for cls in classes}
