"""Refuse a Python that Counterdub does not support, before anything is installed, and say what helps.

Runs on any Python, also on those that it refuses: no syntax and no module that came later. With ``--list`` it prints
each supported version that is on this machine, and its command.
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
    return ["python{0}.{1}".format(first[0], minor) for minor in range(end[1] - 1, first[1] - 1, -1)]


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
    newest = "{0}.{1}".format(end[0], end[1] - 1)
    lines = [
        "Python {0}.{1} is {2}.".format(version[0], version[1], wrong),
        "Counterdub runs on Python {0}.{1} to {2}.".format(first[0], first[1], newest),
    ]
    if commands:
        lines.append("On this machine is one that fits:  make PYTHON={0} demo".format(commands[0]))
    else:
        lines.append("Install one (pyenv install {0}, or your system's python{0}), then:".format(newest))
        lines.append("  make PYTHON=python{0} demo".format(newest))
    if version >= end:
        lines.append("To try this one all the same:  make UNSUPPORTED_PYTHON=1 demo")
    return "\n".join(lines)


def main():
    with open(os.path.join(ROOT, "pyproject.toml")) as file:
        first, end = supported_range(file.read())
    if sys.argv[1:] == ["--list"]:
        for name in reversed(names_of(first, end)):
            for command in installed([name])[:1]:
                print("{0} {1}".format(name[len("python") :], command))
        return
    version = sys.version_info[:2]
    fits = first <= version < end
    said = refusal(version, first, end, [] if fits else installed(names_of(first, end)))
    if said is not None and not (version >= end and os.environ.get("UNSUPPORTED_PYTHON")):
        sys.exit(said)


if __name__ == "__main__":
    main()
