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


def test_warnings_are_first_lines_without_deprecations(tmp_path):
    stage_logs(tmp_path / 'one', [1.0])
    stage_logs(tmp_path / 'two', [1.0], 'second')
    stages = [tmp_path / 'one', tmp_path / 'two', tmp_path / 'none']
    assert logged_warnings(stages) == ['BN sees one image', 'second']
