"""A client of the sandbox's control API, for `make up`, the demo and the benchmarks."""

from dataclasses import dataclass
from typing import Any

import httpx2

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class SandboxControl:
    """`url` is the sandbox's HTTP address on loopback."""

    url: str

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self._call("POST", path, body)

    def is_up(self) -> bool:
        try:
            self.get("/health")
        except httpx2.HTTPError:
            return False
        return True

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        with httpx2.Client(base_url=self.url, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            return client.request(method, path, json=body).raise_for_status().json()
