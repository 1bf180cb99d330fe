"""Refuse a Python that Counterdub does not support, before anything is installed, and say what helps.

Runs on any Python, also on those that it refuses: no syntax and no module that came later.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def supported_range(project):
    """First supported and first unsupported version, as the project file says: ((3, 11), (3, 14))."""
    found = re.search(r'^requires-python = ">=(\d+)\.(\d+),<(\d+)\.(\d+)"', project, re.MULTILINE)
    first_major, first_minor, end_major, end_minor = (int(part) for part in found.groups())
    return (first_major, first_minor), (end_major, end_minor)


def names_of(first, end):
    """python3.13, python3.12 and so on: the newest supported one first."""
    return [f"python{first[0]}.{minor}" for minor in range(end[1] - 1, first[1] - 1, -1)]


def is_usable(command):
    """Whether the interpreter starts (pyenv has names that do not) and can make virtual environments."""
    with open(os.devnull, "w") as nowhere:
        try:
            return subprocess.call([command, "-c", "import venv, ensurepip"], stdout=nowhere, stderr=nowhere) == 0
        except OSError:
            return False


def installed(names):
    """Commands of supported interpreters on this machine: on the path, then pyenv's."""
    commands = [name for name in names if is_usable(name)]
    versions = os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions")
    if os.path.isdir(versions):
        for name in names:
            for folder in sorted(os.listdir(versions)):
                if folder.startswith(name[len("python") :] + "."):
                    command = os.path.join(versions, folder, "bin", name)
                    if is_usable(command):
                        commands.append(command.replace(os.path.expanduser("~"), "~", 1))
    return commands


def refusal(version, first, end, commands):
    """Why this version is refused and what to type instead; None where it is supported."""
    if first <= version < end:
        return None
    wrong = "too old" if version < first else "too new: not every dependency is published for it"
    supported = f"Counterdub runs on Python {first[0]}.{first[1]} to {end[0]}.{end[1] - 1}"
    lines = [f"Python {version[0]}.{version[1]} is {wrong}. {supported}."]
    if commands:
        lines.append(f"On this machine is one that fits:  make PYTHON={commands[0]} demo")
    else:
        newest = f"{end[0]}.{end[1] - 1}"
        lines.append(f"Install one (pyenv install {newest}, or your system's python{newest}), then:")
        lines.append(f"  make PYTHON=python{newest} demo")
    if version >= end:
        lines.append("To try this one all the same:  make UNSUPPORTED_PYTHON=1 demo")
    return "\n".join(lines)


def main():
    with open(os.path.join(ROOT, "pyproject.toml")) as file:
        first, end = supported_range(file.read())
    version = sys.version_info[:2]
    fits = first <= version < end
    said = refusal(version, first, end, [] if fits else installed(names_of(first, end)))
    if said is not None and not (version >= end and os.environ.get("UNSUPPORTED_PYTHON")):
        sys.exit(said)


if __name__ == "__main__":
    main()
