from collections.abc import Iterator

import pytest

from tests.data_package.fetching.hub_process import HubProcess
from tests.servers import serving


@pytest.fixture(scope="session")
def one_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with serving() as server:
        process = HubProcess(server, tmp_path_factory.mktemp("hub"))
        yield process
        process.close()


@pytest.fixture
def hub(one_hub: HubProcess) -> HubProcess:
    """Return programs that talk to a hub on loopback, which holds nothing yet."""
    one_hub.server.files.clear()
    one_hub.server.asked.clear()
    return one_hub
