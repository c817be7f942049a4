"""The same questions in process: what HTTP adds is what a server takes longer than this."""

import time
from typing import Any

from ask_http import QUESTIONS, K

from protocol import main


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments: "library"; "seconds"; "first": number of the first question."""
    import pixseek

    with pixseek.open(arguments["library"], create=False) as library:
        for text in QUESTIONS[-10:]:
            library.search(text, k=K)
        time.sleep(1)  # threads that open the model for speed, and read caches, end meanwhile
        for text in QUESTIONS[-20:-10]:
            library.search(text, k=K)
        took: list[float] = []
        busy = time.process_time()
        ends = time.perf_counter() + arguments["seconds"]
        for text in QUESTIONS[arguments["first"] :]:
            if (asked := time.perf_counter()) >= ends:
                break
            library.search(text, k=K)
            took.append(time.perf_counter() - asked)
        busy = time.process_time() - busy
    return {
        "took_ms": [1000 * each for each in took],
        "rate": len(took) / sum(took),
        "cpu_ms": 1000 * busy / len(took),
    }


if __name__ == "__main__":
    main(drive)
