"""rclip 3.3: `RClip.ensure_index` with the model and the batch size that it comes with."""

import os
from pathlib import Path
from typing import Any

from protocol import index_folders, main

BATCH = 8  # the default of rclip's command line


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    data = Path(arguments["out"]) / "data"
    data.mkdir(parents=True)
    for part in Path(arguments["model"]).iterdir():
        (data / part.name).symlink_to(part)
    os.environ["RCLIP_DATADIR"] = str(data)
    from rclip.main import init_rclip

    rclip, _, database = init_rclip(arguments["warm"], BATCH)
    answer = index_folders(arguments, lambda folder, _: rclip.ensure_index(folder))
    stored = len(database._con.execute("SELECT id FROM images WHERE deleted IS NULL").fetchall())
    counted = sum(figures["images"] for figures in answer["folders"].values())
    assert stored > counted, f"{stored} images were stored, {counted} measured"
    return answer


if __name__ == "__main__":
    main(drive)
