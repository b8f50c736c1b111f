"""A stack of the whole system for each file of tests, on ports of its own, always taken down."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from client import Client, Receiver  # noqa: E402
from stacks import make_stack, sound  # noqa: E402


@pytest.fixture(scope="module")
def stack(tmp_path_factory, request):
    settings = getattr(request.module, "SETTINGS_HERE", {})
    twice = getattr(request.module, "TWICE", ())
    with make_stack(tmp_path_factory.mktemp("stack"), twice=twice, **settings) as running:
        yield running
        sound(running)


@pytest.fixture
def client(stack):
    return Client(stack)


@pytest.fixture
def receiver():
    here = Receiver()
    yield here
    here.close()
