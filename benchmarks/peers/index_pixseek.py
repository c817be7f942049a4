"""pixseek: `Library.index`, with previews, as it comes. PIXSEEK_PRECISION says in which numbers."""

import time
from pathlib import Path
from typing import Any

from protocol import images_in, index_folders, main


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    import pixseek

    with pixseek.open(Path(arguments["out"]) / "library", model=arguments["model"]) as library:

        def index(folder: str, _: Path) -> dict[str, Any]:
            first: list[float] = []

            def told(progress: Any) -> None:
                if progress.stage == "index" and not first:
                    first.append(time.perf_counter())

            began = time.perf_counter()
            report = library.index(folder, on_progress=told)
            ended = time.perf_counter()
            assert report.added == len(images_in(folder)) and not report.failures, report
            # Each run scans, chooses what runs the model, and checks it, before it reads the first
            # photo. Of the few photos here that would be half; of a library it is seconds, and
            # said apart. Peers have their model open by then, too.
            return {
                "stages": dict(report.seconds),
                "prepare_s": first[0] - began,
                "seconds": ended - first[0],
            }

        answer = index_folders(arguments, index)
        answer["runs_on"] = str(getattr(library.status(), "acceleration", None) or "")
        return answer


if __name__ == "__main__":
    main(drive)
