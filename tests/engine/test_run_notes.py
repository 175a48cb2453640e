import logging
import warnings

import pytest

from pinas_mm.engine.run_notes import BatchClock, noted_warnings


def test_warnings_are_noted_in_order_and_shown_as_ever(caplog):
    logger = logging.getLogger('notes')
    show = warnings.showwarning
    with pytest.warns(UserWarning, match='second'), noted_warnings(logger) as found:
        logger.info('fine')
        logger.warning('first: %s', 1)
        warnings.warn('second', stacklevel=1)
        logger.error('third')
    logger.warning('after')
    assert found == ['first: 1', 'second', 'third']
    assert caplog.messages == ['first: 1', 'third', 'after']
    assert warnings.showwarning is show and not logger.handlers


def test_all_is_as_before_after_an_error():
    logger = logging.getLogger('notes')
    show = warnings.showwarning
    with pytest.raises(KeyError), noted_warnings(logger):
        raise KeyError
    assert warnings.showwarning is show and not logger.handlers


def test_the_first_batch_foretells_the_search():
    now = [10.0]
    clock = BatchClock(lambda: now[0])
    assert clock.forecast(100) == {}
    clock.batch(4.0, 8)
    clock.batch(100.0, 8)
    now[0] = 15.0
    assert clock.seconds == 5 and clock.forecast(100) == dict(
        forecast_seconds=50.0, forecast_archs=8
    )
