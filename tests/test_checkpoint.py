import hashlib
import pickle
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pinas_mm.checkpoint import (
    checksum,
    finite_tensors,
    load_checkpoint,
    load_strict,
    save_checkpoint,
)
from pinas_mm.errors import InputError


def test_round_trip(tmp_path):
    state = dict(weight=torch.randn(2, 3), steps=torch.tensor(7))
    save_checkpoint(tmp_path / 'net.pth', state, dict(space='resnest50', arch=[0, 1]))
    found = load_checkpoint(tmp_path / 'net.pth')
    assert found['meta'] == dict(space='resnest50', arch=[0, 1])
    assert found['state_dict'].keys() == state.keys()
    assert all(torch.equal(found['state_dict'][key], state[key]) for key in state)
    torch.save(state, tmp_path / 'bare.pth')
    assert torch.equal(
        load_checkpoint(str(tmp_path / 'bare.pth'))['state_dict']['weight'], state['weight']
    )


@pytest.fixture
def server(tmp_path):
    """Serves a folder to this machine; notes what is asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, text, *args):
            if text.startswith('"'):  # a request, not an error
                asked.append(args[0])

    folder = tmp_path / 'served'
    folder.mkdir()
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{server.server_port}', asked
        server.shutdown()


def test_published_weights_are_downloaded_once(tmp_path, monkeypatch, server):
    """Their name says their content; any other file may change."""
    folder, address, asked = server
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    save_checkpoint(folder / 'net.pth', dict(weight=torch.ones(2)), {})
    data = (folder / 'net.pth').read_bytes()
    published = f'net-{hashlib.sha256(data).hexdigest()[:8]}.pth'
    # The end of the last name is no checksum, which is seen at each load.
    for name, times in ((published, 1), ('net.pth', 2), ('net-20261130.pth', 4)):
        (folder / name).write_bytes(data)
        for _ in range(2):
            weight = load_checkpoint(f'{address}/{name}')['state_dict']['weight']
            assert torch.equal(weight, torch.ones(2))
        assert len(asked) == times
        asked.clear()
    assert [path.name for path in (tmp_path / 'hub/checkpoints').iterdir()] == [published]


def test_what_cannot_be_downloaded_is_one_line(tmp_path, monkeypatch, server):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    for name in ('net-0123abcd.pth', 'net.pth'):
        with pytest.raises(InputError, match=rf'{name}: cannot be downloaded \(.*404.*fetch it on'):
            load_checkpoint(f'{server[1]}/{name}')
        with pytest.raises(InputError, match=rf'{name}: cannot be downloaded \(.*refused'):
            load_checkpoint(f'http://127.0.0.1:9/{name}')
    assert not list((tmp_path / 'hub/checkpoints').iterdir())


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize('place', ['whole', 'meta', 'state_dict', 'history'])
@pytest.mark.parametrize('legacy', [False, True])
def test_what_would_run_code_is_refused(tmp_path, place, legacy):
    touch, path = Touch(tmp_path / 'hacked'), tmp_path / 'net.pth'
    checkpoint = dict(meta={}, state_dict=dict(weight=torch.zeros(1)))
    if place == 'whole':
        checkpoint = touch
    elif place == 'history':  # inside an object that is allowed
        buffer = HistoryBuffer()
        buffer._log_history = np.array([touch], dtype=object)
        checkpoint['message_hub'] = buffer
    else:
        checkpoint[place]['x'] = touch
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value) and not (tmp_path / 'hacked').exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / 'hacked').exists(), 'this checkpoint does run code where it is allowed to'


SPARSE = torch.sparse_coo_tensor([[0, 1]], torch.ones(2), (2,))
KINDS = dict(
    sparse=SPARSE,
    nested=torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
    quantised=torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    without_values=torch.empty(2, device='meta'),
)


@pytest.mark.parametrize('kind', KINDS)
def test_tensors_of_other_kinds_are_named(tmp_path, kind):
    path = tmp_path / 'net.pth'
    torch.save(dict(state_dict={'a.weight': torch.ones(2), 'b.weight': KINDS[kind]}), path)
    with pytest.raises(InputError, match=r'net.pth: b.weight is sparse, nested, quantised or with'):
        load_checkpoint(path)


def test_indices_of_a_sparse_tensor_that_point_outside_are_refused(tmp_path):
    path, sparse = tmp_path / 'net.pth', SPARSE.clone()
    torch.save(dict(state_dict={}, sparse=sparse), path)
    assert torch.equal(load_checkpoint(path)['sparse'].to_dense(), torch.ones(2))
    sparse._indices()[0, 1] = 10**6
    torch.save(dict(state_dict={}, sparse=sparse), path)
    with pytest.raises(InputError, match='net.pth: not loadable .*size is inconsistent'):
        load_checkpoint(path)


@pytest.mark.parametrize('content', [b'no checkpoint', b'\x80\x02X', b''])
def test_why_a_file_is_no_checkpoint_is_said(tmp_path, content):
    """Errors of torch may begin with an empty line."""
    (tmp_path / 'text.pth').write_bytes(content)
    with pytest.raises(InputError, match=r'text.pth: not loadable as .* tensors: \w'):
        load_checkpoint(tmp_path / 'text.pth')


def test_keys_of_a_state_dict_are_text(tmp_path):
    torch.save({1: torch.ones(1)}, tmp_path / 'net.pth')
    with pytest.raises(InputError, match='its state_dict is not a dict of tensors'):
        load_checkpoint(tmp_path / 'net.pth')


class TinyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(3, 1), nn.BatchNorm1d(1))

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.layer(inputs).square().mean(), accuracy=torch.tensor(0.5))


def test_a_training_checkpoint_of_mmengine_loads(tmp_path):
    loader = DataLoader(TensorDataset(torch.randn(8, 3)), batch_size=4)
    runner = Runner(
        TinyModel(),
        work_dir=str(tmp_path),
        experiment_name='tiny',
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        param_scheduler=dict(type='LinearLR', start_factor=0.5),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=1),
        ),
    )
    runner.train()
    found = load_checkpoint(tmp_path / 'epoch_2.pth')
    assert {'meta', 'state_dict', 'message_hub', 'optimizer', 'param_schedulers'} <= found.keys()
    losses = found['message_hub']['log_scalars']['train/loss']
    assert isinstance(losses, HistoryBuffer) and len(losses.data[0]) == 4
    np.testing.assert_array_equal(
        losses.data[0], runner.message_hub.get_scalar('train/loss').data[0]
    )
    assert found['message_hub']['runtime_info']['iter'] == runner.message_hub.get_info('iter')
    other = TinyModel()
    load_strict(other, tmp_path / 'epoch_2.pth')
    assert all(
        torch.equal(a, b)
        for a, b in zip(other.state_dict().values(), runner.model.state_dict().values())
    )


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    state = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).state_dict()
    path = tmp_path / 'net.pth'
    save_checkpoint(
        path,
        {f'backbone.{key}': value for key, value in state.items()}
        | {'head.weight': torch.zeros(1)},
        {},
    )
    return path, state


@pytest.mark.parametrize('prefix', ['backbone', 'backbone.'])
def test_strict_loading_ignores_what_else_there_is(saved, prefix):
    path, state = saved
    part = nn.Sequential(nn.Linear(3, 2))
    load_strict(part, path, prefix)
    assert torch.equal(part[0].weight, state['0.weight']) and torch.equal(
        part[0].bias, state['0.bias']
    )


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_strict_loading_names_the_first_tensor_that_is_not_finite(saved, value):
    path, state = saved
    for key in ('1.bias', '0.bias'):
        state[key][-1] = value
    save_checkpoint(path, {f'backbone.{key}': tensor for key, tensor in state.items()}, {})
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    with pytest.raises(
        InputError,
        match=r'net.pth: 1 of 2 values of backbone.0.bias are NaN or infinite: its training dive',
    ):
        load_strict(module, path, 'backbone')
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_numbers_of_another_kind_are_named(saved):
    path, state = saved
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    for wrong in (torch.long, torch.cfloat):
        changed = state | {'0.bias': state['0.bias'].to(wrong)}
        save_checkpoint(path, {f'backbone.{key}': value for key, value in changed.items()}, {})
        with pytest.raises(
            InputError, match=f'wrong type: backbone.0.bias {wrong} instead of torch'
        ):
            load_strict(module, path, 'backbone')
    for right in (torch.half, torch.float64, torch.float8_e4m3fn):
        changed = state | {'0.bias': state['0.bias'].to(right)}
        save_checkpoint(path, {f'backbone.{key}': value for key, value in changed.items()}, {})
        load_strict(module, path, 'backbone')
        assert torch.equal(module[0].bias, changed['0.bias'].float())


def test_an_infinity_that_a_module_is_made_with_loads(tmp_path):
    """As the least value seen so far, in torch's observers."""
    module, path = nn.Linear(2, 1), tmp_path / 'net.pth'
    module.register_buffer('least', torch.tensor([float('inf')]))
    save_checkpoint(path, module.state_dict(), {})
    load_strict(module, path)
    assert module.least == float('inf')


def test_strict_loading_lists_what_does_not_fit_and_changes_nothing(saved):
    path, _ = saved
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(5, 1), nn.Linear(1, 1))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(InputError) as error:
        load_strict(module, path, 'backbone.')
    message = str(error.value)
    assert message == (
        f'{path}: does not fit this Sequential; missing: backbone.2.weight, backbone.2.bias'
        '; wrong shape: backbone.1.weight (1, 2) instead of (1, 5)'
    )
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    # Of a wrong prefix the names that there are.
    message = 'missing: .*0.weight, .* and 12 more; there instead: backbone.0.weight'
    with pytest.raises(InputError, match=message):
        load_strict(nn.Sequential(*(nn.Linear(1, 1) for _ in range(10))), path, 'neck.')


def test_missing_and_damaged_files_are_named(saved, tmp_path):
    path, _ = saved
    with pytest.raises(InputError, match='none.pth: no such checkpoint'):
        load_checkpoint(tmp_path / 'none.pth')
    whole = path.read_bytes()
    for content in (
        b'',
        whole[: len(whole) // 2],
        whole[:-100],
        b'not a checkpoint',
        pickle.dumps(dict(a=1), protocol=2)[:-3],
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match='not loadable as a checkpoint') as error:
            load_checkpoint(path)
        assert str(path) in str(error.value)


def test_a_bare_tensor_is_no_checkpoint(tmp_path):
    torch.save(torch.zeros(2), tmp_path / 'tensor.pth')
    with pytest.raises(InputError, match='tensor.pth: holds a Tensor'):
        load_checkpoint(tmp_path / 'tensor.pth')


def test_a_checksum_tells_weights_of_any_type_apart():
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool):
        first, same, other = (
            checksum(dict(a=torch.tensor([[1, value]]).to(dtype), b=torch.tensor(1).to(dtype)))
            for value in (1, 1, 0)
        )
        assert first == same != other


def test_what_is_finite_in_a_module_is_named_whatever_it_holds():
    class Module(torch.nn.Linear):
        def get_extra_state(self):
            return dict(version=1)

    module = Module(2, 1)
    module.register_buffer('least', torch.tensor(float('inf')))
    module.register_buffer('counts', torch.zeros(2, dtype=torch.int64))
    module.register_buffer('small', torch.zeros(2).to(torch.float8_e4m3fn))
    assert finite_tensors(module) == {'weight', 'bias', 'counts', 'small'}
    module.bias.data[0] = float('nan')
    assert finite_tensors(module) == {'weight', 'counts', 'small'}
