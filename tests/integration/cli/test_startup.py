"""The command line starts fast: no engine, no service and no heavy library is imported to print a help text."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

HEAVY = {
    "alembic", "av", "boto3", "celery", "ctranslate2", "demucs", "faster_whisper", "fastapi", "huggingface_hub",
    "numba", "onnx", "onnxruntime", "pandas", "psycopg", "pyarrow", "redis", "s3fs", "scenedetect", "scipy", "sklearn",
    "soundfile", "sqlalchemy", "torch", "torchaudio", "transformers", "TTS", "uvicorn", "whisper", "xllamacpp",
}  # fmt: skip
SCRIPT = """
import json, sys
from services.cli.main import main
sys.argv = ["counterdub", *sys.argv[1:]]
try:
    main()
except SystemExit as left:
    code = left.code
print("\\n" + json.dumps({"code": code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
# Of the processor, not of the clock, and three times what an idle machine needs: this is no benchmark.
LIMITS = {"--help": 1.5, "engines": 3.0}


@pytest.mark.parametrize("command, allowed", [("--help", set()), ("engines", {"soundfile"})])
def test_nothing_heavy_is_imported(command: str, allowed: set[str]) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, command], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["code"], done.stderr
    assert sorted(HEAVY & set(found["modules"]) - allowed) == []


@pytest.mark.parametrize("command", list(LIMITS))
def test_it_is_fast(command: str) -> None:
    import resource

    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from services.cli.main import main; main()", command],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        print(f"{command}: {spent[-1]:.2f} s of the processor, {time.perf_counter() - began:.2f} s by the clock")
    assert min(spent) < LIMITS[command]
