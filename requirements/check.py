"""Say in words when the lock files cannot serve this Python or this machine, before pip fails over it.

    python requirements/check.py run|dev

Prints a sentence and ends with status 1, or prints the interpreter's own path. It must run on any Python, however old
or new: what it would refuse has to be able to read it.
"""

import platform
import struct
import sys

OLDEST = (3, 11)
NEWEST = {"run": (3, 14), "dev": (3, 13)}
"""TensorFlow, which training and the tests need, has no wheels for newer ones."""
LEAST_GLIBC = (2, 28)
LEAST_MACOS = (14, 0)


def version_words(pair):
    return "{0}.{1}".format(*pair)


def about_python(kind, version, implementation, bits):
    """What is wrong with this interpreter, or an empty string."""
    what = {"run": "Undertone needs", "dev": "Undertone's tests and its training need"}[kind]
    wanted = "{0} Python {1} to {2}".format(what, version_words(OLDEST), version_words(NEWEST[kind]))
    if not OLDEST <= tuple(version[:2]) <= NEWEST[kind]:
        return "{0}; this is {1}.".format(wanted, version_words(version))
    if implementation != "CPython":
        return "{0} as CPython; this is {1}.".format(wanted, implementation)
    if bits != 64:
        return "{0} with 64 bits; this one has {1}.".format(wanted, bits)
    return ""


def about_machine(system, machine, libc, macos):
    """What is wrong with this machine, or an empty string. `libc` and `macos` are pairs of numbers, or None."""
    served = (
        "ONNX Runtime, which runs the recognition, has releases for Linux (x86_64 and aarch64, glibc {0} or newer), "
        "Macs with Apple silicon (macOS {1} or newer) and 64-bit Windows"
    ).format(version_words(LEAST_GLIBC), LEAST_MACOS[0])
    machine = machine.lower()
    if system == "Linux" and machine in ("x86_64", "aarch64"):
        if libc is None:
            return "{0}; this Linux has another C library than glibc. Debian, Ubuntu and Fedora do.".format(served)
        return "" if libc >= LEAST_GLIBC else "{0}; this has glibc {1}.".format(served, version_words(libc))
    if system == "Darwin" and machine == "arm64":
        return "" if macos is None or macos >= LEAST_MACOS else "{0}; this is {1}.".format(served, version_words(macos))
    if system == "Windows" and machine in ("amd64", "x86_64"):
        return ""
    return "{0}; this is {1} on {2}.".format(served, system, machine)


def pair(text):
    """The first two numbers of a version, "14.5.1" or "14"; None where there is none."""
    numbers = [int(part) for part in text.split(".") if part.isdigit()]
    return tuple((numbers + [0])[:2]) if numbers else None


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "run"
    python = about_python(kind, sys.version_info[:3], platform.python_implementation(), 8 * struct.calcsize("P"))
    libc = platform.libc_ver()
    machine = about_machine(
        platform.system(),
        platform.machine(),
        pair(libc[1]) if libc[0] == "glibc" else None,
        pair(platform.mac_ver()[0]),
    )
    if python or machine:
        sys.stdout.write((python or machine) + "\n")
        return 1
    sys.stdout.write(sys.executable + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
