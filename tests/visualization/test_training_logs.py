from report_dirs import stage_logs

from pinas_mm.visualization.training_logs import curve, logged_warnings


def test_curves_are_read_and_torn_lines_left_out(tmp_path):
    stage_logs(tmp_path / 'one', [3.0, float('nan'), 1.0])
    assert curve(tmp_path / 'one', 'loss') == ([0, 2], [3.0, 1.0])
    assert curve(tmp_path / 'one', 'accuracy') == ([], []) == curve(tmp_path / 'none', 'loss')


def test_a_long_curve_is_thinned(tmp_path):
    stage_logs(tmp_path / 'one', [float(i) for i in range(2000)])
    xs, ys = curve(tmp_path / 'one', 'loss')
    assert len(xs) == 600 and xs == ys and xs == sorted(xs)


def test_of_a_very_long_log_the_first_part_is_read(tmp_path, monkeypatch):
    stage_logs(tmp_path / 'one', [float(i) for i in range(2000)])
    monkeypatch.setattr('pinas_mm.visualization.training_logs.MOST_BYTES', 1000)
    xs, _ = curve(tmp_path / 'one', 'loss')
    assert xs and xs == list(range(len(xs))) and len(xs) < 100
    assert logged_warnings([tmp_path / 'one']) == ['BN sees one image']


def test_warnings_are_first_lines_without_deprecations(tmp_path):
    stage_logs(tmp_path / 'one', [1.0])
    stage_logs(tmp_path / 'two', [1.0], 'second')
    stages = [tmp_path / 'one', tmp_path / 'two', tmp_path / 'none']
    assert logged_warnings(stages) == ['BN sees one image', 'second']
