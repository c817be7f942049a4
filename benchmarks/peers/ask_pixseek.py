"""The same questions in process and over HTTP, in turns: what a server takes longer is HTTP's."""

import itertools
import statistics
import time
from typing import Any

from ask_http import QUESTIONS, Client, K

from protocol import main

#: Questions in a row of each kind. Turns are short since the speed of a machine that others share
#: changes from second to second by more than what is measured.
TURN = 10
#: Of them, the first, which find the processor's caches full of the other process's data.
COLD = 2


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments: "library"; "seconds"; "first": number of the first question; "port": the server's.

    "took_ms", "rate" and "cpu_ms" are those in process; "added_ms" is the median, over the pairs of
    turns, of the difference of their medians; None without a port.
    """
    import pixseek

    with pixseek.open(arguments["library"], create=False) as library:
        for text in QUESTIONS[-10:]:
            library.search(text, k=K)
        time.sleep(1)  # threads that open the model for speed, and read caches, end meanwhile
        for text in QUESTIONS[-20:-10]:
            library.search(text, k=K)
        client = Client("pixseek", arguments["port"]) if arguments.get("port") else None
        texts = iter(QUESTIONS[arguments["first"] :])
        took: list[float] = []
        added: list[float] = []
        busy = 0.0
        ends = time.perf_counter() + arguments["seconds"]
        for turn in itertools.count():
            if time.perf_counter() >= ends:
                break
            turns: dict[str, list[float]] = {}
            for kind in ("process", "http") if turn % 2 else ("http", "process"):
                if kind == "http" and client is None:
                    continue
                before = time.process_time()
                own = turns[kind] = []
                for text in itertools.islice(texts, TURN):
                    asked = time.perf_counter()
                    if kind == "http":
                        client.ask(text)
                    else:
                        library.search(text, k=K)
                    own.append(time.perf_counter() - asked)
                if kind == "process":
                    took += own
                    busy += time.process_time() - before
            if client is not None:
                http, process = (statistics.median(turns[k][COLD:]) for k in ("http", "process"))
                added.append(1000 * (http - process))
    return {
        "took_ms": [1000 * each for each in took],
        "rate": len(took) / sum(took),
        "cpu_ms": 1000 * busy / len(took),
        "added_ms": statistics.median(added) if added else None,
    }


if __name__ == "__main__":
    main(drive)
