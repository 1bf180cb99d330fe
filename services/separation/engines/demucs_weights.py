"""Where Demucs finds its weights: released files by their name, a folder of the operator, or a download.

Demucs names a released file ``SIGNATURE-HASH.th`` after its training and the first eight digits of its sha256, and
lists what belongs together (a bag) in a small YAML file. A ``.th`` file is a pickle: it can run code when it is loaded,
so give only files from a source you trust. The ``.safetensors`` files of its hub cannot.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions
from shared.observability.internal_errors import summary
from shared.weights.given import digest, is_place, place
from shared.weights.hub_trust import pulled, pulled_folder
from shared.weights.local import may_download
from shared.weights.released import ReleasedModels

RELEASED: ReleasedModels[tuple[str, ...]] = ReleasedModels(
    "Demucs",
    "demucs",
    {
        "htdemucs": ("955717e8-8726e21a",),
        "htdemucs_ft": ("f7e0c4bc-ba3fe64a", "d12395a8-e57c48e6", "92cfc3b6-ef3bcb9c", "04573f0d-f3cf25b2"),
        "mdx_extra": ("e51eebcc-c1b80bdd", "a1d90b5c-ae9d2452", "5d2d6c55-db83574e", "cfa93e08-61801ae1"),
        "mdx_extra_q": ("83fc094f-4a16d450", "464b36d7-e5a9386e", "14fc6a69-a89dd0ee", "7fd6ef75-a905dd85"),
    },
    "the path of a folder",
)
"""Files of every model, as demucs 4.1 lists them, without their suffix."""
DEFAULT = "htdemucs"
REPOSITORIES = {
    "htdemucs": "adefossez/HTDemucs",
    "htdemucs_ft": "adefossez/HTDemucs-ft",
    "mdx_extra": "adefossez/Demucs-mdx_extra",
    "mdx_extra_q": "adefossez/Demucs-mdx_extra_q",
}
"""The publisher's own copies on the model hub, by the rule of demucs.hf: a bag and a safetensors file a network."""


def digests(options: EngineOptions) -> dict[str, str]:
    """What names the weights: the released files, whose names carry their hash, or the hash of given ones.

    Where only the hub's copy is here, its commit.
    """
    model = options.model or DEFAULT
    if is_place(model):
        path = place(model)
        return {"given": digest(path if path.suffix == ".th" else path if path.is_dir() else path.parent)}
    if not released(model) and (trust := pulled(REPOSITORIES[model])) is not None:
        return {trust.repo: trust.commit}
    return {name: name.partition("-")[2] for name in RELEASED.find(model)}


def files_of(model: str) -> tuple[str, ...]:
    """Names of a released model's files.

    Raises:
        EngineError: ``unknown_model``.
    """
    return tuple(f"{name}.th" for name in RELEASED.find(model))


def released(model: str) -> bool:
    """Whether all released files of a model are among the models; they are taken before the hub's copy."""
    return all((RELEASED.folder() / name).is_file() for name in files_of(model))


def repositories(options: EngineOptions) -> tuple[str, ...]:
    """The hub's copy of the model that the options name."""
    model = options.model or DEFAULT
    return (REPOSITORIES[model],) if model in REPOSITORIES else ()


def absent(options: EngineOptions) -> tuple[str, ...]:
    """The files that are neither here nor may be fetched, in words."""
    model = options.model or DEFAULT
    if may_download(options) and not is_place(model):
        return ()
    if is_place(model):
        return RELEASED.absent(model, ())
    names = files_of(model)
    return () if pulled(REPOSITORIES[model]) is not None else RELEASED.absent(model, names)


def load(options: EngineOptions) -> Any:
    """The model or bag of models that the options name, on the CPU.

    Raises:
        EngineError: ``unknown_model``, ``weights_missing``, ``weights_damaged`` when a file does not fit its name,
            ``engine_missing`` when a quantised model lacks the package diffq, ``engine_failed``.
    """
    from demucs.repo import ModelLoadingError

    try:
        return _load(options)
    except ModelLoadingError as error:
        damaged = "checksum" in str(error)
        code = "weights_damaged" if damaged else "weights_missing"
        raise EngineError(f"The Demucs model cannot be loaded: {summary(error)}", code=code) from error
    except SystemExit as error:  # how demucs says that diffq is absent
        raise EngineError(
            "This quantised Demucs model needs the package “diffq”, which is not installed.",
            code="engine_missing",
            package="diffq",
        ) from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, KeyError, AttributeError, OSError) as error:
        text = str(error).partition("\n")[0][:200]
        raise EngineError(f"The Demucs model cannot be loaded: {text}", code="engine_failed") from error


def _load(options: EngineOptions) -> Any:
    from demucs import pretrained
    from demucs.repo import AnyModelRepo, BagOnlyRepo, RemoteRepo

    model = options.model or DEFAULT
    if is_place(model):
        path = place(model)
        root = path if path.is_dir() else path.parent
        files = repository(root)
        name = only(root) if path.is_dir() else path.stem.partition("-")[0] if path.suffix == ".th" else path.stem
        return AnyModelRepo(files, BagOnlyRepo(root, files)).get_model(name)
    wanted, root = files_of(model), RELEASED.folder()
    copy = None if released(model) else pulled_folder(REPOSITORIES[model])
    if released(model) or copy is not None:
        return BagOnlyRepo(pretrained.REMOTE_ROOT, repository(copy or root)).get_model(model)
    if may_download(options):
        # By the released file, whose hash is known beforehand.
        remote = RemoteRepo(pretrained._parse_remote_files(pretrained.REMOTE_ROOT / "files.txt"))
        return BagOnlyRepo(pretrained.REMOTE_ROOT, remote).get_model(model)
    raise RELEASED.missing(model, wanted)


def only(root: Path) -> str:
    """The one thing that a folder holds: its bag, or its single model.

    Raises:
        EngineError: ``weights_missing`` when there is none or more than one.
    """
    bags = sorted(file.stem for file in root.glob("*.yaml"))
    single = sorted(file.stem.partition("-")[0] for file in (*root.glob("*.th"), *root.glob("*.safetensors")))
    for names in (bags, single):
        if len(names) == 1:
            return names[0]
        if names:
            break
    raise EngineError(
        f"“{root.name}” must hold one Demucs model: one .yaml with its files, or one .th or .safetensors file.",
        code="weights_missing",
    )


def repository(root: Path) -> Any:
    """Demucs' own view of a folder, which checks the hash in a file's name; safetensors are taken before pickles."""
    from demucs.hf import load_safetensors_model
    from demucs.repo import LocalRepo

    class Folder(LocalRepo):  # type: ignore[misc,unused-ignore]  # without its library: Any
        def has_model(self, sig: str) -> bool:
            return (root / f"{sig}.safetensors").is_file() or super().has_model(sig)

        def get_model(self, sig: str) -> Any:
            safe = root / f"{sig}.safetensors"
            return load_safetensors_model(safe) if safe.is_file() else super().get_model(sig)

    return Folder(root)
