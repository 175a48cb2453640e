"""Searches that are killed, and searches on two ranks, in processes of their own."""

import pytest
import tiny_search
import torch
from processes import finish, on_two_ranks, start, two_ranks
from tiny_search import run

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.searching.history import read_history
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO


@pytest.mark.slow
def test_killed_twenty_times_it_ends_as_if_never_killed(tmp_path):
    assert finish([start(tiny_search.killed, tmp_path, 'report', tmp_path, 20)]) == [0]
    batches = list(map(int, (tmp_path / 'batches').read_text().split()))
    assert len(batches) == 20 and len(set(batches)) >= 10, (
        f'kills at different stages of the search: {batches}'
    )
    for name in ('history.jsonl', 'subnet.yaml', 'pareto.json'):
        assert (tmp_path / 'killed' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()
    first, second = (
        load_checkpoint(tmp_path / folder / 'subnet.pth')['state_dict']
        for folder in ('killed', 'whole')
    )
    assert first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


@pytest.fixture(scope='module')
def one_rank(tmp_path_factory):
    folder = tmp_path_factory.mktemp('one')
    return folder, run(folder, num_archs=20, norm='SyncBN').test_loop


@pytest.mark.distributed
def test_two_ranks_write_the_history_of_one(tmp_path, one_rank):
    """The classifier has SyncBN: recalibration must be local, since the ranks run different
    archs."""
    on_two_ranks(tiny_search.rank, tmp_path, tmp_path)
    folder, loop = one_rank
    for name in ('history.jsonl', 'subnet.yaml', 'pareto.json'):
        assert (tmp_path / 'ranks' / name).read_bytes() == (folder / name).read_bytes()
    assert [(tmp_path / f'winner{number}').read_text() for number in range(2)] == [
        str(loop.winner)
    ] * 2


@pytest.mark.distributed
def test_a_lost_rank_ends_the_search_and_it_resumes_on_one(tmp_path, one_rank):
    codes = finish(two_ranks(tiny_search.rank, tmp_path, tmp_path, 3), timeout=120)
    assert codes[1] == -9 and codes[0] not in (0, -9)
    history = tmp_path / 'ranks/history.jsonl'
    assert len(read_history(history, NASBENCH_MACRO)[1]) == 4, 'the two batches before'
    run(tmp_path / 'ranks', resume=True, num_archs=20, norm='SyncBN')
    assert history.read_bytes() == (one_rank[0] / 'history.jsonl').read_bytes()
