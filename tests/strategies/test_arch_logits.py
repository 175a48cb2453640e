import itertools
import math

import numpy as np
import pytest
import torch

from pinas_mm.errors import InputError
from pinas_mm.spaces import Candidate, Position, SearchSpace
from pinas_mm.strategies import ArchLogits

COUNTS = (2, 3, 1)
SPACE = SearchSpace(
    'toy',
    tuple(tuple(Candidate(str(choice), {}) for choice in range(count)) for count in COUNTS),
    tuple(Position(0, 1, 1, 1, (slot,)) for slot in range(len(COUNTS))),
    1,
)
START = [[0.3, -0.2], [0.1, 0.5, -0.4], [0.7]]


@pytest.fixture
def logits():
    result = ArchLogits(SPACE)
    for row, values in zip(result.rows, START):
        row.data.copy_(torch.tensor(values))
    return result


def softmax(values):
    return np.exp(values) / np.exp(values).sum()


def test_at_the_start_every_arch_is_as_likely():
    logits = ArchLogits(SPACE)
    assert [values.tolist() for values in logits.probabilities()] == [[1 / 2] * 2, [1 / 3] * 3, [1]]
    assert logits.entropy() == pytest.approx(1) and logits.fixed == [None] * 3


def test_probabilities_entropy_and_draws(logits):
    expected = [softmax(values) for values in START]
    for found, values in zip(logits.probabilities(), expected):
        np.testing.assert_allclose(found, values, rtol=1e-6)
    entropies = [
        -(values * np.log(values)).sum() / math.log(len(values)) for values in expected[:2]
    ]
    assert logits.entropy() == pytest.approx(np.mean(entropies), rel=1e-6)
    assert logits.most_likely() == (0, 1, 0)
    rng, draws = np.random.default_rng(0), 4000
    archs = np.array([logits.sample(rng) for _ in range(draws)])
    for slot, values in enumerate(expected):
        shares = np.bincount(archs[:, slot], minlength=len(values)) / draws
        assert (np.abs(shares - values) <= 4.5 * np.sqrt(values * (1 - values) / draws)).all()


def test_log_probabilities_of_every_arch_are_those_of_a_distribution(logits):
    every = list(itertools.product(*map(range, logits.space.num_candidates)))
    found = logits.log_probabilities(every)
    rows = [softmax(row.detach().double().numpy()) for row in logits.rows]
    assert np.exp(found).sum() == pytest.approx(1)
    assert found == pytest.approx(
        [math.log(math.prod(row[choice] for row, choice in zip(rows, arch))) for arch in every]
    )
    logits.fix(1e-9)  # what is fixed is drawn for certain, and still says how others stood
    assert logits.log_probabilities(every) == pytest.approx(found)


def test_gradients_are_those_of_the_log_probability_and_of_the_probability(logits):
    arch, rewards, penalties = (
        (1, 2, 0),
        torch.tensor([0.5, -2.0, 3.0]),
        torch.tensor([0.1, 0.2, 0.4]),
    )
    logits.add_gradients(arch, rewards, penalties)
    logits.add_gradients(arch, rewards)
    for slot, (row, values) in enumerate(zip(logits.rows, START)):
        leaf = torch.tensor(values, requires_grad=True)
        chosen = leaf.softmax(dim=0)[arch[slot]]
        (2 * rewards[slot] * chosen.log() + penalties[slot] * chosen).backward()
        torch.testing.assert_close(row.grad, leaf.grad)


@pytest.mark.parametrize('temperature', [10, 0.1])
def test_gumbel_noise_draws_by_the_same_probabilities_at_any_temperature(logits, temperature):
    rng, draws = np.random.default_rng(0), 4000
    found = [logits.soft_sample(rng, temperature) for _ in range(draws)]
    archs = np.array([arch for arch, _ in found])
    for slot, values in enumerate(START):
        values = softmax(values)
        shares = np.bincount(archs[:, slot], minlength=len(values)) / draws
        assert (np.abs(shares - values) <= 4.5 * np.sqrt(values * (1 - values) / draws)).all()
    leads = [max(soft[1]) for _, soft in found]
    assert all(sum(values) == pytest.approx(1) for _, soft in found for values in soft)
    assert np.mean(leads) < 0.4 if temperature == 10 else np.mean(leads) > 0.9


def test_soft_gradients_are_those_of_the_gumbel_softmax(logits):
    """By autograd through softmax((log p + g) / temperature), the noise from the same generator."""
    temperature, costs = 2.0, torch.tensor([0.5, -2.0, 3.0])
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        logits.add_soft_gradients(
            *logits.soft_sample(np.random.default_rng(seed), temperature), costs, temperature
        )
        for slot, values in enumerate(START):
            leaf = torch.tensor(values, dtype=torch.float64, requires_grad=True)
            noise = torch.from_numpy(rng.gumbel(size=len(values)))
            soft = ((leaf.log_softmax(dim=0) + noise) / temperature).softmax(dim=0)
            (costs[slot] * soft.max()).backward()  # the chosen is the largest
            row = logits.rows[slot]
            torch.testing.assert_close(row.grad.double(), leaf.grad, rtol=1e-4, atol=1e-6)
            row.grad = None


def test_what_is_fixed_is_drawn_with_gumbel_noise_too(logits):
    logits.fixed[1] = 2
    rng = np.random.default_rng(0)
    for _ in range(20):
        arch, soft = logits.soft_sample(rng, 10)
        assert arch[1] == 2 and soft[1].tolist() == [0, 0, 1]


def test_a_slot_is_fixed_once_its_lead_is_large_enough(logits):
    lead = softmax(START[0])[0] - softmax(START[0])[1]
    assert logits.fix(lead + 1e-4) == [2], 'there is nothing to choose in slot 2'
    assert logits.fix(lead + 1e-4) == []
    assert logits.fix(lead - 1e-4) == [0] and logits.fixed == [0, None, 0] and not logits.all_fixed
    logits.rows[1].data.copy_(torch.tensor([0.0, 0.0, 9.0]))
    assert logits.fix(0.3) == [1] and logits.all_fixed and logits.most_likely() == (0, 2, 0)
    assert logits.entropy() == 0


def test_a_fixed_slot_is_always_drawn_and_never_moves(logits):
    logits.rows[1].data.zero_()
    optimizer = torch.optim.Adam(logits.rows, lr=0.1, weight_decay=0.1)
    logits.add_gradients((1, 0, 0), torch.tensor([5.0, 1.0, 1.0]))
    optimizer.step()
    logits.add_gradients((1, 0, 0), torch.ones(3))
    assert 0 in logits.fix(0.15) and logits.fixed[1] is None
    frozen, free = (row.detach().clone() for row in logits.rows[:2])
    for _ in range(3):
        logits.add_gradients((0, 1, 0), torch.ones(3))
        assert logits.rows[0].grad is None
        optimizer.step()
        optimizer.zero_grad()
    assert torch.equal(logits.rows[0], frozen) and not torch.equal(logits.rows[1], free)
    # Whatever its logits were to become:
    logits.rows[0].data.copy_(torch.tensor([-9.0, 9.0]))
    rng = np.random.default_rng(0)
    assert {logits.sample(rng)[0] for _ in range(50)} == {0} and logits.most_likely()[0] == 0


def test_the_state_round_trips_and_is_no_reference(logits):
    logits.fix(0.05)
    state = logits.state_dict()
    other = ArchLogits(SPACE)
    other.load_state_dict(state)
    logits.rows[1].data.zero_()
    assert other.fixed == logits.fixed and other.rows[1].detach().tolist() == pytest.approx(
        START[1]
    )
    assert other.rows[0].is_leaf and other.rows[0].requires_grad


def test_logits_of_another_space_are_refused(logits):
    state = logits.state_dict()
    state['rows'] = state['rows'][:2]
    with pytest.raises(
        InputError,
        match=r"for slots of \[2, 3\] candidates, but those of space 'toy' have \[2, 3, 1\]",
    ):
        ArchLogits(SPACE).load_state_dict(state)
