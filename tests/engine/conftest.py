import pytest
from mmengine.registry import init_default_scope
from tiny_runner import Tiny


@pytest.fixture
def tiny(tmp_path):
    init_default_scope('mmpretrain')
    return Tiny(tmp_path)
