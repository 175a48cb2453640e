import json

import pytest

from pinas_mm.settings import changed_settings, plain_settings

SETTINGS = dict(
    seed=3,
    model=dict(type='A', head=dict(topk=[1, 5])),
    hooks=[dict(type='H', at=1), dict(type='G')],
)


@pytest.mark.parametrize(
    'changes, message',
    [
        ({}, ''),
        (dict(seed=4), 'seed was 3 and is 4'),
        (dict(seed='3'), "seed was 3 and is '3'"),
        (dict(seed=None), 'seed was 3 and is None'),
        (dict(lr=0.1), 'lr was not set and is 0.1'),
        (dict(lr=None), 'lr was not set and is None'),
        (
            dict(model=dict(type='B', head=dict(topk=[1, 2]))),
            "model.type was 'A' and is 'B'; model.head.topk was [1, 5] and is [1, 2]",
        ),
        (dict(model=dict(type='A')), "model.head was {'topk': [1, 5]} and is not set"),
        (dict(model=[]), "model was {'type': 'A', 'head': {'topk': [1, 5]}} and is []"),
        (
            dict(hooks=[dict(type='H', at=2), dict(type='F')]),
            "hooks.0.at was 1 and is 2; hooks.1.type was 'G' and is 'F'",
        ),
        (
            dict(hooks=[dict(type='H', at=1)]),
            "hooks was [{'type': 'H', 'at': 1}, {'type': 'G'}] and is [{'type': 'H', 'at': 1}]",
        ),
        (dict(model={}), "model.type was 'A' and is not set; model.head was {'topk': [1, 5]} and"),
    ],
)
def test_the_keys_that_differ_are_named_with_both_values(changes, message):
    found = changed_settings(SETTINGS, SETTINGS | changes)
    assert found.startswith(message) and bool(found) == bool(message)


def test_long_messages_are_cut():
    text = changed_settings(dict(a='x' * 500), dict(a='y'))
    assert text == f"a was '{'x' * 56}... and is 'y'"
    many = changed_settings({f'k{i}': 0 for i in range(10)}, {f'k{i}': 1 for i in range(10)})
    assert many.endswith('k7 was 0 and is 1; and 2 more') and 'k8' not in many
    odd = changed_settings({'a\n': dict(b=1)}, {'a\n': dict(b=2)})
    assert odd == r"'a\n'.b was 1 and is 2"
    assert len(changed_settings({'k' * 999: 1}, {})) < 250


def test_numbers_that_json_does_not_have_are_text_and_equal():
    plain = plain_settings(dict(most=float('inf'), least=[-float('inf')], none=float('nan')))
    assert plain == dict(most='Infinity', least=['-Infinity'], none='NaN')


def test_settings_are_as_their_file_gives_them_back():
    plain = plain_settings(dict(limits=(None, 4e6), kind=dict, model=dict(topk=(1, 5))))
    assert plain == dict(limits=[None, 4e6], kind="<class 'dict'>", model=dict(topk=[1, 5]))
    assert changed_settings(json.loads(json.dumps(plain)), plain) == ''
