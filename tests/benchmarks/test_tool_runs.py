import time

import pytest


def test_what_runs_ends_with_the_benchmark_and_what_waits_never_starts(
    benchmark, tmp_path, monkeypatch
):
    module = benchmark('tool_runs')
    monkeypatch.setattr(module, 'TOP', tmp_path)
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/slow.py').write_text(
        'import pathlib, sys, time\npathlib.Path(sys.argv[1]).touch()\ntime.sleep(60)\n'
    )
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), module.side_by_side(1) as pool:
        running, waiting = (pool.submit(module.tool, 'slow.py', tmp_path / name) for name in 'ab')
        while not (tmp_path / 'a').exists():
            time.sleep(0.05)
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30
    assert waiting.cancelled() and not (tmp_path / 'b').exists()
    assert running.exception().returncode == -15
