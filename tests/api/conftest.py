"""Who visits the app over HTTP."""

import httpx
import pytest

from app.storage.client import Store
from tests.visitor import Visitor


@pytest.fixture
def visitor(mock_app_client: httpx.AsyncClient, mock_store: Store) -> Visitor:
    """Somebody who may do everything, with an app on mongomock: optimistic mode, in process."""
    return Visitor(mock_app_client, mock_store)
