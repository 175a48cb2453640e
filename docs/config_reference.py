"""A Sphinx extension: the reference of configs, made of signatures and docstrings at build time.

Before the pages are read, it writes one page for each kind of registered class to
``reference/generated/``, which git ignores. A key that a class takes and its docstring leaves out
has an empty cell; ``tests/test_docs.py`` asks for every key of a loop, hook or strategy."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Sections of a docstring that end the one before.
SECTION = re.compile(r'^(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note):\s*$')


@dataclass(frozen=True)
class Key:
    """A key of a config.

    Args:
        name: The argument.
        default: Its default as text; ``'required'`` where it has none.
        text: What the docstring says of it, reStructuredText.
    """

    name: str
    default: str
    text: str


def sections(docstring: str) -> dict[str, str]:
    """The parts of a Google docstring by their titles; ``''`` is what comes before them."""
    parts: dict[str, list[str]] = {'': []}
    current = ''
    for line in inspect.cleandoc(docstring).splitlines():
        if found := SECTION.match(line):
            current = found[1]
            parts.setdefault(current, [])
        else:
            parts[current].append(line)
    return {title: '\n'.join(lines).strip('\n') for title, lines in parts.items()}


def documented(cls: Callable[..., Any]) -> dict[str, str]:
    """What the docstring of a class or function says of its arguments. Each of several names that
    share a text, as in ``mean, std: …``, has it."""
    found: dict[str, str] = {}
    text = textwrap.dedent(sections(cls.__doc__ or '').get('Args', ''))
    for entry in re.split(r'\n(?=\S)', text):
        names, colon, meaning = entry.partition(':')
        if colon and re.fullmatch(r'[*\w]+( \([^)]*\))?(, [*\w]+( \([^)]*\))?)*', names.strip()):
            meaning = inspect.cleandoc(meaning.lstrip(' '))
            for name in names.split(','):
                found[name.split('(')[0].strip(' *')] = meaning
    return found


def keys_of(member: Callable[..., Any]) -> list[Key]:
    """The keys that a config may give beside ``type``: the arguments of a class or function and,
    where a class takes ``**kwargs``, those of the classes of this package that it extends."""
    texts: dict[str, str] = {}
    for base in reversed(bases(member)):
        texts |= documented(base) if base is not object else {}
    keys: dict[str, Key] = {}
    for base in bases(member):
        if isinstance(base, type) and '__init__' not in vars(base):
            continue
        if not base.__module__.startswith('pinas_mm.'):
            break
        makes = base.__init__ if isinstance(base, type) else base
        arguments = dict(inspect.signature(makes).parameters)
        arguments.pop('self', None)
        for name, argument in arguments.items():
            if argument.kind in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL) or name == 'runner':
                continue
            has_default = argument.default is not argument.empty
            default = repr(argument.default) if has_default else 'required'
            keys.setdefault(name, Key(name, default, texts.get(name, '')))
        if not any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values()):
            break
    return list(keys.values())


def bases(member: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """A class and what it extends, or a function alone."""
    return member.__mro__ if isinstance(member, type) else (member,)


def parent(member: Callable[..., Any]) -> type | None:
    """The first class of another package that a class extends, whose keys it may take too."""
    others = [c for c in bases(member) if not c.__module__.startswith(('pinas_mm.', 'builtins'))]
    return next((c for c in others if isinstance(c, type)), None)


def ours(members: Iterable[Any]) -> list[Callable[..., Any]]:
    """The classes and functions of this package, by name, each once."""
    found = {m for m in members if getattr(m, '__module__', '').startswith('pinas_mm.')}
    return sorted(found, key=lambda member: member.__name__)


def groups() -> dict[str, tuple[str, str, list[Callable[..., Any]]]]:
    """File name to title, introduction and members of each page."""
    import pinas_mm  # noqa: F401
    from pinas_mm import registry
    from pinas_mm.searching.searchers import SEARCHERS

    def members(name: str) -> list[Callable[..., Any]]:
        known = getattr(registry, name)
        known.import_from_location()
        return ours(known.module_dict.values())

    models = members('MODELS')

    def of(*rooms: str) -> list[Callable[..., Any]]:
        return [c for c in models if c.__module__.startswith(tuple(f'pinas_mm.{r}' for r in rooms))]

    return {
        'loops': (
            'Loops',
            'Which keys do ``search_loop``, ``val_cfg`` and ``test_cfg`` have?',
            members('LOOPS'),
        ),
        'hooks': ('Hooks', 'Which keys do the entries of ``custom_hooks`` have?', members('HOOKS')),
        'strategies': (
            'Strategies',
            'Which keys does a strategy have, around or in place of ``model``?',
            of('strategies'),
        ),
        'searchers': (
            'Searchers',
            'Which keys does ``search_loop.searcher`` have?',
            ours(SEARCHERS.values()),
        ),
        'optim_wrappers': (
            'Optimizer and model wrappers',
            'Which keys do ``optim_wrapper`` and ``model_wrapper_cfg`` have?',
            members('OPTIM_WRAPPERS') + members('MODEL_WRAPPERS'),
        ),
        'backbones': (
            'Backbones',
            'Which keys does ``model.backbone`` have?',
            of('models.backbones'),
        ),
        'models': (
            'Models, heads and parts of tasks',
            'Which keys do the other parts of ``model`` have?',
            of('models.selfsup', 'models.heads', 'tasks'),
        ),
        'datasets': (
            'Datasets, samplers and transforms',
            'Which keys do the parts of a dataloader have?',
            members('DATASETS') + members('DATA_SAMPLERS') + members('TRANSFORMS'),
        ),
        'metrics': (
            'Metrics',
            'Which keys do the entries of ``val_evaluator`` have?',
            members('METRICS'),
        ),
    }


def type_text(cls: Callable[..., Any]) -> str:
    """What a config writes as ``type``."""
    from pinas_mm.searching.searchers import SEARCHERS

    names = [name for name, known in SEARCHERS.items() if known is cls]
    return names[0] if names else f'pinas_mm.{cls.__name__}'


def class_lines(cls: Callable[..., Any]) -> Iterator[str]:
    """The section of a class or function, in reStructuredText."""
    name = type_text(cls)
    yield from (f'.. _config-{cls.__name__}:', '', f'``{name}``', '-' * (len(name) + 4), '')
    yield from sections(cls.__doc__ or '')[''].splitlines()
    yield ''
    keys = keys_of(cls)
    if keys:
        yield from (
            '.. list-table::',
            '   :header-rows: 1',
            '   :widths: 28 14 58',
            '',
            '   * - key',
            '     - default',
            '     - meaning',
        )
        for key in keys:
            yield f'   * - ``{key.name}``'
            yield '     - required' if key.default == 'required' else f'     - ``{key.default}``'
            first, *rest = key.text.splitlines() or ['']
            yield f'     - {first}'
            yield from (f'       {line}' if line else '' for line in rest)
        yield ''
    base = parent(cls)
    if base is not None and base.__module__.partition('.')[0].startswith('mm'):
        yield from (f"Extends ``{base.__module__.partition('.')[0]}``'s ``{base.__name__}``.", '')
    module = cls.__module__.removeprefix('pinas_mm.').replace('.', '/')
    yield from (f'Source: ``pinas_mm/{module}.py``', '')


def write_pages(folder: Path) -> list[Path]:
    """Writes the pages; returns their paths. Pages that would be the same are left alone, so that
    Sphinx does not read them again."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file, (title, question, classes) in groups().items():
        lines = [title, '=' * len(title), '', f'*{question}*'.replace('``', ''), '']
        for cls in classes:
            lines += class_lines(cls)
        path = folder / f'{file}.rst'
        text = '\n'.join(lines)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        paths.append(path)
    return paths


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect('builder-inited', lambda app: write_pages(Path(app.srcdir) / 'reference/generated'))
    return dict(parallel_read_safe=True, parallel_write_safe=True)
