"""What stands for ``counterdub shards`` and ``counterdub train`` where faults are the point: fast, without torch.

``python -m tests.integration.queue.stand_in shards PAIRS --to DIR`` and ``train --out RUN --set optimiser.steps=N``.
It does what files in ``$COUNTERDUB_TEST_TRAPS`` say: ``shards.hang``, ``shards.error``; ``train.hang`` (at step 5,
while the file is there), ``train.fail`` (a traceback), ``train.error`` (an error in words), ``train.killed``. Every
beginning is a line in ``$COUNTERDUB_TEST_CALLS``, with the step that it began from.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

HANGS_AT = 5
PAUSE_S = 0.02


def trapped(name: str) -> bool:
    return (Path(os.environ["COUNTERDUB_TEST_TRAPS"]) / name).exists()


def note(text: str) -> None:
    with Path(os.environ["COUNTERDUB_TEST_CALLS"]).open("a") as file:
        file.write(f"{text}\n")


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def shards() -> int:
    note("shards")
    while trapped("shards.hang"):
        time.sleep(PAUSE_S)
    if trapped("shards.error"):
        error = {
            "code": "unsafe_path",
            "stage": None,
            "retryable": False,
            "message": "It names /etc/passwd.",
            "details": {},
        }
        print(json.dumps({"error": error}, indent=1))
        return 3
    folder = Path(option("--to"))
    folder.mkdir(exist_ok=True)
    pairs = sorted(path.relative_to(sys.argv[2]).as_posix() for path in Path(sys.argv[2]).rglob("*.*"))
    (folder / "index.json").write_text(json.dumps(pairs))
    print(json.dumps({"shots": 3, "titles": 1, "skipped": {"decode_crashed": 1}}, indent=1))
    return 1  # Some shots could not be used.


def train() -> int:
    run = Path(option("--out"))
    steps = next(int(value.partition("=")[2]) for value in sys.argv if value.startswith("optimiser.steps="))
    folder = run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "last"
    step = int((folder / last.read_text()).read_text()) if last.exists() else 0
    note(f"train@{step}")
    lines = (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else []
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    (run / "metrics.new").write_text("".join(f"{line}\n" for line in kept))
    (run / "metrics.new").replace(run / "metrics.jsonl")
    (run / "state.json").write_text(json.dumps({"steps": steps}))
    (run / "recipe.toml").write_text(f"overrides = {json.dumps(sys.argv[2:])}\n")
    asked = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    def save() -> None:
        name = f"step-{step:08d}.pt"
        (folder / name).write_text(str(step))
        (folder / "last.new").write_text(name)
        (folder / "last.new").replace(last)
        for old in sorted(folder.glob("step-*.pt"))[:-2]:
            old.unlink()

    signal.signal(signal.SIGTERM, stop)
    while step < steps and not asked:
        while trapped("train.hang") and step == HANGS_AT and not asked:
            time.sleep(PAUSE_S)
        if asked:
            break
        if trapped("train.fail"):
            raise RuntimeError(f"no kernel image in {Path.home()}/lib/cuda.so for this device")
        if trapped("train.error"):
            error = {"code": "loss_not_finite", "stage": None, "retryable": False, "message": "NaN.", "details": {}}
            print(json.dumps({"error": error}, indent=1))
            return 3
        if trapped("train.killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        step += 1
        time.sleep(PAUSE_S)
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "epoch": step / 10, "loss": 1 / step}) + "\n")
            if step % 5 == 0:
                file.write(json.dumps({"step": step, "r1/audio-video": step / 100, "held_out": 4}) + "\n")
        if step % 2 == 0:
            save()
    save()
    (run / "curves.html").write_text("<svg></svg>")
    return 130 if asked else 0


if __name__ == "__main__":
    sys.exit({"shards": shards, "train": train}[sys.argv[1]]())
