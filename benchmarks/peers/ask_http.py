"""Clients of a search server: each asks its next question when the last was answered.

Only the standard library: threads and `http.client`, whose connections stay open if the server
lets them. What it costs is the same for every server.
"""

import http.client
import itertools
import json
import random
import threading
import time
from typing import Any
from urllib.parse import quote

from protocol import main
from query_pixseek import COLOURS, PLACES, THINGS

ADJECTIVES = "big small old new tall round dirty clean bright dark shiny broken empty wet".split()
NUMBERS = "one two three four five six seven eight nine ten".split()

#: 50,400 questions of seven to nine tokens, no two alike, in an order that is always the same.
QUESTIONS = [
    f"{n} {a} {c} {t} {p}"
    for n, a, c, t, p in itertools.product(NUMBERS, ADJECTIVES, COLOURS, THINGS, PLACES)
]
random.Random(0).shuffle(QUESTIONS)

K = 20


def request_of(kind: str, text: str) -> tuple[str, str, bytes | None]:
    """Return the method, the path and the body that ask a kind of server a question."""
    if kind == "clip-retrieval":
        asked = {
            "text": text, "modality": "image", "num_images": K, "num_result_ids": K,
            "indice_name": "bench",
        }  # fmt: skip
        return "POST", "/knn-service", json.dumps(asked).encode()
    path = "/api/search" if kind == "pixseek" else "/search"
    return "GET", f"{path}?q={quote(text)}&k={K}", None


def hits_of(kind: str, answer: bytes) -> int:
    found = json.loads(answer)
    return len(found["hits"] if kind == "pixseek" else found)


class Client:
    """One connection."""

    def __init__(self, kind: str, port: int) -> None:
        self.kind = kind
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=400)

    def ask(self, text: str) -> bytes:
        """Return the answer to a question.

        Raises:
            RuntimeError: it is an error.
        """
        method, path, body = request_of(self.kind, text)
        headers = {"Content-Type": "application/json"} if body else {}
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {answer[:300]!r}")
        return answer


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    """Ask for a number of seconds.

    Args:
        arguments: "kind" and "port" of the server; "clients"; "seconds"; "first": number of the
            first question; "distinct": how many there are before they repeat; 0 if none does.
    """
    kind, distinct = arguments["kind"], arguments.get("distinct") or len(QUESTIONS)
    clients = [Client(kind, arguments["port"]) for _ in range(arguments["clients"])]
    first = arguments["first"] % len(QUESTIONS)
    texts = QUESTIONS[first : first + distinct] + QUESTIONS[:first]
    if hits_of(kind, clients[0].ask(texts[-1])) != K:
        raise RuntimeError("not a whole page of hits")
    if distinct < len(QUESTIONS):
        for text in texts[:distinct]:
            clients[0].ask(text)
    following = iter(itertools.cycle(texts[:distinct]))
    lock, took, errors = threading.Lock(), [], []
    began = time.perf_counter()
    ends = began + arguments["seconds"]

    def ask(client: Client) -> None:
        try:
            while (asked := time.perf_counter()) < ends:
                with lock:
                    text = next(following)
                client.ask(text)
                took.append(time.perf_counter() - asked)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(errors[0])
    # To the last answer, and not to the end of the time: what was begun was finished.
    seconds = time.perf_counter() - began
    return {"took_ms": [1000 * each for each in took], "rate": len(took) / seconds}


if __name__ == "__main__":
    main(drive)
