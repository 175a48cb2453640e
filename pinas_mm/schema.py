"""Typed schemas of what users write: settings in configs, and files.

A schema is the annotations of a class: of the arguments of its ``__init__`` for settings, of its
fields for files. pydantic checks; the messages are ours. No torch, no mmengine."""

import difflib
import functools
import inspect
import itertools
import numbers
import operator
import os
import re
import reprlib
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    Strict,
    TypeAdapter,
    ValidationError,
    with_config,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema
from typing_extensions import NotRequired, Required, TypedDict, is_typeddict

from .errors import InputError

# Characters of a value that a message shows.
LONGEST = 200

T = TypeVar('T')
C = TypeVar('C', bound=type)


@dataclass(frozen=True)
class Expected:
    """What a message says of a type: ``Annotated[int, Field(ge=1), Expected('…', '200')]``.

    Args:
        text: What is expected, in words.
        example: A value that fits, as a user writes it.
    """

    text: str
    example: str

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: Any, inner: Callable[[Any], Any]) -> Any:
            try:
                found = inner(value)
                # A whole number stays one: what is written again is then the same text.
                return value if isinstance(value, int) else found
            except ValidationError as error:
                raise PydanticCustomError(
                    'expected', '{text}', dict(text=f'{self.text}, such as {self.example}')
                ) from error

        return core_schema.no_info_wrap_validator_function(check, handler(kind))


# Whole numbers. An upper bound keeps what follows from an absurd one finite: 2 ** 53 is the largest
# to which every whole number is a float.
_MOST = 2**53
Count = Annotated[int, Field(ge=1, le=_MOST), Expected('a whole number of at least 1', '10')]
AtLeastTwo = Annotated[int, Field(ge=2, le=_MOST), Expected('a whole number of at least 2', '10')]
WholeNumber = Annotated[int, Field(ge=0, le=_MOST), Expected('a whole number of at least 0', '0')]
Seed = Annotated[
    int, Field(ge=0, lt=2**32), Expected('a whole number from 0 to 4294967295', '0')
]  # NumPy's limit
# Finite numbers.
Number = Annotated[float, Field(allow_inf_nan=False), Expected('a finite number', '0.5')]
Positive = Annotated[
    float, Field(gt=0, allow_inf_nan=False), Expected('a finite number above 0', '0.5')
]
NotNegative = Annotated[
    float, Field(ge=0, allow_inf_nan=False), Expected('a finite number of at least 0', '0.5')
]
Probability = Annotated[float, Field(ge=0, le=1), Expected('a number from 0 to 1', '0.5')]
# What was measured, as JSON has it of ``settings.plain_settings``: also what is not finite.
Measured = Annotated[
    float,
    Field(allow_inf_nan=True),
    BeforeValidator(
        lambda value: float(value) if value in ('NaN', 'Infinity', '-Infinity') else value
    ),
]
PositiveProbability = Annotated[
    float, Field(gt=0, le=1), Expected('a number above 0, at most 1', '0.5')
]

# What mm and torch ask whether it is true: many write 0 and 1.
Switch = Annotated[
    bool,
    BeforeValidator(lambda value: bool(value) if type(value) is int and value in (0, 1) else value),
]

# Python 3.10 and mypy read no star within the brackets of a type.
_annotated = Annotated.__class_getitem__  # type: ignore[attr-defined]

# Text is not read as a number, nor a number as text; a key that nobody reads is an error.
STRICT = ConfigDict(strict=True, extra='forbid', allow_inf_nan=False, arbitrary_types_allowed=True)
# Of a TypedDict whose keys have types and whose other keys are free.
some_keys = with_config(ConfigDict(**{**STRICT, 'extra': 'ignore'}))


def check(kind: type[T], value: Any, source: str = '', key: str = '') -> T:
    """A value of a type, such as a dataclass with the annotations of a file.

    Args:
        kind: A type whose parts are annotated. A list is taken for a tuple, a mapping for a
            dataclass.
        value: Plain data.
        source: The file that it is from, for the message.
        key: The dotted key of ``value`` itself in the config or file, for the message.

    Returns:
        The value; of a dataclass, its instance.

    Raises:
        InputError: It does not fit. The message names the source, the dotted key, the value (at
            most 200 characters of it), what was expected and a value that fits.
    """
    try:
        return _adapter(cast(Hashable, kind)).validate_python(value)
    except ValidationError as error:
        raise InputError(_message(error, value, source, key)) from error


def check_arguments(
    function: Callable[..., Any],
    settings: Mapping[str, Any],
    key: str,
    given: Sequence[str] = (),
    complete: bool = True,
) -> None:
    """Whether settings are arguments that a class or function takes, of the annotated types.

    Args:
        function: The class or function. What has no annotation may be anything. Of a class that
            hands ``**kwargs`` on to its base, the base's arguments count as well. See
            :func:`arguments` for whose annotations count.
        settings: The arguments by name; ``type`` is left out.
        key: The dotted key of ``settings`` in the config.
        given: Arguments that the caller gives, which a config may not.
        complete: Whether these are all; else others may come from elsewhere.

    Raises:
        InputError: One is unknown, missing or of another type; the message is as in :func:`check`.
    """
    parameters, own, open_ended = arguments(function)
    arguments_given = {name: value for name, value in settings.items() if name != 'type'}
    known = [name for name in parameters if name not in given]
    for name in arguments_given:
        if name not in known and not open_ended:
            raise InputError(f'{key}.{name}: {_unknown(name, known)}')
    for name, parameter in parameters.items():
        needed = complete and name in own and parameter.default is parameter.empty
        if needed and name not in given and name not in settings:
            raise InputError(f'{key}.{name}: is missing, expected {_kind_text(parameter)}')
        if name in arguments_given and parameter.annotation is not parameter.empty:
            value = arguments_given[name]
            # Many annotate `size: int = None`.
            if value is not parameter.default:
                check(parameter.annotation, value, key=f'{key}.{name}')


@cache
def arguments(
    function: Callable[..., Any],
) -> tuple[dict[str, inspect.Parameter], frozenset[str], bool]:
    """The arguments of a class or function by name, annotations resolved; which of them are its
    own; and whether it takes any other. Of a class that hands ``**kwargs`` on, its base's arguments
    come after its own; it may give some of them itself.

    All annotations of this package count. Of other packages' those of plain data alone do, loosely
    (:func:`_loose`), since Python holds nobody to them; and none of mm's and torch's. A class of
    another package that takes ``**kwargs`` takes any other argument: it may use some itself."""
    layers = (
        [vars(base)['__init__'] for base in function.__mro__ if '__init__' in vars(base)]
        if isinstance(function, type)
        else [function]
    )
    found: dict[str, inspect.Parameter] = {}
    own: frozenset[str] = frozenset()
    is_open = False
    for number, layer in enumerate(layers):
        if layer is object.__init__:
            # Its ``**kwargs`` are for something else, or ``__new__`` takes the arguments.
            is_open = number > 0 or cast(type, function).__new__ is not object.__new__
            return found, own, is_open
        try:
            parameters = list(inspect.signature(layer).parameters.values())
        except ValueError:  # written in C
            return found, own, True
        hints = _hints(layer)
        if isinstance(function, type):
            del parameters[0]  # self
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                hint = hints.get(parameter.name, parameter.empty)
                found.setdefault(parameter.name, parameter.replace(annotation=hint))
        own = own or frozenset(found)
        is_users = not is_known(layer)
        # What a decorator takes is not in the signature of what it wraps.
        is_open = is_open or (is_users and hasattr(layer, '__wrapped__'))
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            return found, own, is_open
        is_open = is_open or is_users
    return found, own, True


# Packages whose classes were seen to take no more than their signatures and their bases' say.
_KNOWN = ('pinas_mm', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg', 'torch')


def is_known(member: Callable[..., Any]) -> bool:
    """Whether a class or function is of this package, of mm's or of torch; else it is a user's."""
    return _package(member) in _KNOWN


def _package(member: Callable[..., Any]) -> str:
    return str(getattr(member, '__module__', '')).partition('.')[0]


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    package = _package(function)
    if package == __package__:
        return typing.get_type_hints(function, include_extras=True)
    if package.startswith(('mm', 'torch')):
        return {}
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # names that are imported for a type checker alone
        return {}
    return {name: _loose(hint) for name, hint in hints.items() if _is_plain(hint)}


def _loose(kind: Any) -> Any:
    """What a value has to be where Python alone reads an annotation: any number for a number, a
    path for text, and None, which many leave out; a list or dict is not looked into."""
    origin = get_origin(kind)
    if origin is Annotated or origin is typing.Literal:
        return kind
    if origin in (Union, UnionType):
        return functools.reduce(operator.or_, map(_loose, get_args(kind)))
    if kind in (int, float, bool):
        expected = dict(int=('a whole number', '10'), float=('a number', '0.5'))
        # NumPy's booleans are no numbers.
        plain = BeforeValidator(lambda value: getattr(value, 'item', lambda: value)())
        text = Expected(*expected.get(kind.__name__, ('True or False', 'True')))
        return _annotated((numbers.Number, plain, text)) | None
    return str | os.PathLike | None if kind is str else Any


def _is_plain(kind: Any) -> bool:
    """Whether a type is one of plain data."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _is_plain(parts[0])
    if origin in (Union, UnionType, tuple, list, dict, Mapping, Sequence):
        return all(part is Ellipsis or _is_plain(part) for part in parts)
    return origin is Literal or kind in _PLAIN


_PLAIN = (int, float, bool, str, type(None), list, tuple, dict, Any)


def check_when_made(cls: C) -> C:
    """Class decorator: arguments whose annotations have bounds (:class:`Expected`), those of its
    bases too, are checked whenever an object is made: also without a config, or by a tool that does
    not check one. A class of another package that has none is left as it is.

    Raises:
        InputError: Of the class, where one does not fit; as in :func:`check`.
    """
    if _package(cls) != __package__ and not _bounded(cls):
        return cls
    make = cls.__init__  # type: ignore[misc]
    in_order = [
        name
        for name, each in inspect.signature(make).parameters.items()
        if each.kind is each.POSITIONAL_OR_KEYWORD
    ]

    @functools.wraps(make)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        values = dict(zip(in_order[1:], args)) | kwargs
        for name, parameter in _bounded(cls).items():
            if name in values and values[name] is not parameter.default:
                value = values[name]
                value = list(value) if isinstance(value, range) else value  # in programs alone
                check(parameter.annotation, value, key=f'{type(self).__name__}.{name}')
        make(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[misc]
    return cls


@cache
def _bounded(cls: type) -> dict[str, inspect.Parameter]:
    """The arguments of a class whose annotations have bounds."""
    parameters, _, _ = arguments(cls)
    return {name: each for name, each in parameters.items() if _has_bounds(each.annotation)}


def _has_bounds(kind: Any) -> bool:
    own = any(isinstance(note, Expected) for note in getattr(kind, '__metadata__', ()))
    return own or any(map(_has_bounds, get_args(kind)))


def shown(value: Any) -> str:
    """A value as a message shows it: at most 200 characters, whatever its size and depth."""
    text = _SHORT.repr(value)
    return text if len(text) <= LONGEST else f'{text[: LONGEST - 3]}...'


def dotted(keys: Iterable[Hashable]) -> str:
    """Keys of mappings and lists within each other as a message shows them, such as
    ``rows.0.arch``."""
    text = '.'.join(
        str(key) if isinstance(key, int) or _PLAIN_KEY.fullmatch(str(key)) else shown(key)
        for key in keys
    )
    return text if len(text) <= LONGEST else f'{text[: LONGEST - 3]}...'


# A key that a message shows without quotes.
_PLAIN_KEY = re.compile(r'[\w./ -]{1,100}')


class _Short(reprlib.Repr):
    """``repr`` that reads no more of a value than is shown: references of YAML make a value of a
    few lines grow without end."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxset = 8
        self.maxlist = self.maxtuple = 24  # an arch
        self.maxstring = self.maxlong = self.maxother = LONGEST

    def repr1(self, x: Any, level: int) -> str:
        # By what it is, not by its name: mmengine's configs are dicts and lists of other names.
        for kind in (dict, list, tuple, set):
            if isinstance(x, kind) and type(x) is not kind:
                return cast(str, getattr(self, f'repr_{kind.__name__}')(x, level))
        return super().repr1(x, level)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        # In their own order; the base sorts.
        if level <= 0 and x:
            return '{...}'
        parts = [
            f'{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}'
            for key, value in itertools.islice(x.items(), self.maxdict)
        ]
        return f'{{{", ".join(parts + ["..."] * (len(x) > self.maxdict))}}}'

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write a number of more than 4,300 digits.
        return super().repr_int(x, level) if x.bit_length() < 4096 else 'a number of 1000 digits'


_SHORT = _Short()


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    # A mapping brings its own.
    has_own = is_dataclass(kind) or is_typeddict(kind)
    return TypeAdapter(_lists_for_tuples(kind), config=None if has_own else STRICT)


def _lists_for_tuples(kind: Any) -> Any:
    """A type in which a list is taken for a tuple: YAML, JSON and ``--cfg-options`` have none."""
    origin, parts = get_origin(kind), tuple(map(_lists_for_tuples, get_args(kind)))
    if origin is Annotated:
        return _annotated((parts[0], *kind.__metadata__))
    if origin in (Union, UnionType):
        return functools.reduce(operator.or_, parts)
    if origin is tuple or kind is tuple:
        inner = tuple.__class_getitem__(parts) if parts else tuple
        return _annotated((inner, Strict(False), _FirstError()))
    if isinstance(kind, type) and is_dataclass(kind):
        return Annotated[_keys(kind), AfterValidator(lambda found: kind(**found))]
    if origin is list or kind is list:
        return _annotated(
            (list.__class_getitem__(parts) if parts else list, Strict(False), _FirstError())
        )
    if origin in (dict, Mapping, Sequence):
        return _annotated((origin[parts], _FirstError()))
    if kind is int:
        return _annotated((int, BeforeValidator(_as_int)))
    if is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        keys = {name: _lists_for_tuples(hint) for name, hint in hints.items()}
        own = TypedDict(kind.__name__, keys, total=kind.__total__)  # type: ignore[misc]
        return with_config(getattr(kind, '__pydantic_config__', STRICT))(own)
    return kind


def _as_int(value: Any) -> Any:
    """NumPy's whole numbers are taken for Python's."""
    if isinstance(value, numbers.Integral) and not isinstance(value, int):
        return int(value)
    return value


# Keys that a mapping may have, see :class:`_FirstError`.
_MOST_KEYS = 100_000


@dataclass(frozen=True)
class _FirstError:
    """Stops at the first error of a list: pydantic collects all, at ten seconds for a million. A
    mapping has no such switch, so its keys are limited."""

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(kind)
        if schema['type'] in ('list', 'tuple'):
            return cast(CoreSchema, {**schema, 'fail_fast': True})
        return core_schema.no_info_before_validator_function(self.check, schema)

    @staticmethod
    def check(value: Any) -> Any:
        if isinstance(value, Mapping) and len(value) > _MOST_KEYS:
            text = f'a dict of at most {_MOST_KEYS:,} keys'
            raise PydanticCustomError('expected', '{text}', dict(text=text))
        return value


def _keys(kind: type) -> Any:
    """A dataclass as the mapping that a file has for it."""
    hints = typing.get_type_hints(kind, include_extras=True)
    needed = {
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    }
    keys = {
        name: Required[_lists_for_tuples(hint)]
        if name in needed
        else NotRequired[_lists_for_tuples(hint)]
        for name, hint in ((field.name, hints[field.name]) for field in fields(kind))
    }
    return with_config(STRICT)(TypedDict(kind.__name__, keys))  # type: ignore[operator]


def _message(error: ValidationError, value: Any, source: str, key: str) -> str:
    found = [(_path(value, detail), detail) for detail in error.errors()]
    path = max((path for path, _ in found), key=len)  # of a union, the part that fits best
    details = [detail for other, detail in found if other == path]
    where = _joined(key, path)
    before = f'{source}: ' if source else ''
    detail = details[0]
    if detail['type'] == 'missing':
        return f'{before}{_joined(key, (*path, detail["loc"][-1]))} is missing, expected a value'
    if detail['type'] in ('extra_forbidden', 'unexpected_keyword_argument'):
        return f'{before}{where}: unknown key'
    expected = ' or '.join(dict.fromkeys(map(_expected, details)))
    shown_value = shown(detail['input'])
    return f'{before}{where + "=" if where else ""}{shown_value}: expected {expected}'


def _path(value: Any, detail: ErrorDetails) -> tuple[str | int, ...]:
    """Where in the value an error is. pydantic's location also names the branches of unions."""
    path: list[str | int] = []
    for part in detail['loc']:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        path.append(part)
    return tuple(path)


# pydantic's words that a user of YAML or of a config does not use, or that say no value that fits.
_WORDS = {
    'int_type': 'a whole number, such as 10',
    'float_type': 'a number, such as 0.5',
    'finite_number': 'a finite number, such as 0.5',
    'string_type': "text, such as 'a'",
    'bool_type': 'True or False',
    'dict_type': 'a dict, such as dict(key=value)',
    'list_type': 'a list, such as [1, 2]',
    'tuple_type': 'a list, such as [1, 2]',
    'none_required': 'None',
    'invalid_key': "text as key, such as 'a'",
}


def _expected(detail: ErrorDetails) -> str:
    if detail['loc'] and detail['loc'][-1] == '[key]':
        return _WORDS['invalid_key']
    return _WORDS.get(detail['type'], detail['msg'].removeprefix('Input should be '))


def _joined(key: str, path: tuple[str | int, ...]) -> str:
    return f'{key}.{dotted(path)}' if key and path else key or dotted(path)


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f'unknown key, expected {close[0]!r}?'
    return f'unknown key, expected some of {list(known)}'


def _kind_text(parameter: inspect.Parameter) -> str:
    kind = parameter.annotation
    notes = [note for note in getattr(kind, '__metadata__', ()) if isinstance(note, Expected)]
    if notes:
        return f'{notes[0].text}, such as {notes[0].example}'
    return 'a value' if kind is parameter.empty else getattr(kind, '__name__', str(kind))
