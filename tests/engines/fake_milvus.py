"""A fake of Milvus' gRPC port for tests: it answers no request, and can refuse, wait, or be busy.

It is no Milvus. It shows how addresses, keys, certificates and timeouts are dealt with. Requests
that are answered go to the server within Milvus Lite, which is no Milvus either.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc


class FakeMilvus(grpc.GenericRpcHandler):  # type: ignore[misc]
    """What a test sets and sees.

    Attributes:
        port: of this machine.
        refuses: the status of every answer, and what it says.
        delay_s: how long each answer takes.
        keys: what the requests were authorised by.
    """

    def __init__(self) -> None:
        self.port = 0
        self.refuses = grpc.StatusCode.UNIMPLEMENTED, "the fake answers nothing"
        self.delay_s = 0.0
        self.keys: list[str] = []

    def service(self, details: Any) -> Any:
        self.keys.append(dict(details.invocation_metadata).get("authorization", ""))

        def answer(request: bytes, context: Any) -> None:
            time.sleep(self.delay_s)
            context.abort(*self.refuses)

        return grpc.unary_unary_rpc_method_handler(answer)


@contextlib.contextmanager
def serving(key: bytes = b"", cert: bytes = b"") -> Iterator[FakeMilvus]:
    """Run the fake on a free port of this machine, by TLS if there are a key and a certificate."""
    fake = FakeMilvus()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((fake,))
    if key:
        safe = grpc.ssl_server_credentials([(key, cert)])
        fake.port = server.add_secure_port("127.0.0.1:0", safe)
    else:
        fake.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield fake
    finally:
        server.stop(0).wait()
