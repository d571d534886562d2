#!/bin/sh
# Fill the virtual environment from a lock file: requirements/install.sh run|dev
#   run  what serving needs          dev  also training, the tests and PostgreSQL
# PYTHON says which interpreter; without it the newest one is taken that the lock files serve in full, and 3.14, which
# serves but cannot train, when there is no other. uv is used where it is installed, else pip.
set -eu
kind=$1
venv=${VENV:-.venv}
here=$(dirname "$0")

# A command may be there and yet not run (a shim of pyenv), so each is asked.
for python in ${PYTHON:-python3.13 python3.12 python3.11 python3.14 python3}; do
    if said=$("$python" "$here/check.py" "$kind" 2>/dev/null); then
        chosen=$said
        break
    elif [ -n "$said" ]; then
        refused=$said
    fi
done

if [ -x "$venv/bin/python" ]; then
    if ! said=$("$venv/bin/python" "$here/check.py" "$kind"); then
        echo "$said" "The one in $venv is too: run 'make clean', then this again."
        exit 1
    fi
elif [ -z "${chosen:-}" ]; then
    echo "${refused:-Undertone needs Python 3.11 to 3.14, and ${PYTHON:-none of them} cannot be run here.}"
    echo "Name another one: make run PYTHON=/path/to/python3.13"
    exit 1
fi

echo "Installing what Undertone needs into $venv (once; a minute or two) …"
if command -v uv >/dev/null; then
    [ -x "$venv/bin/python" ] || uv venv --quiet --python "$chosen" "$venv"
    uv pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes -r "$here/$kind.lock"
    uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable "$here/.."
else
    if [ ! -x "$venv/bin/pip" ] && ! "$chosen" -m venv "$venv"; then
        rm -rf "$venv"
        echo "$chosen cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)."
        exit 1
    fi
    # Modules are compiled when they are first imported: most never are.
    "$venv/bin/pip" install --quiet --no-compile --no-deps --require-hashes -r "$here/$kind.lock"
    "$venv/bin/pip" install --quiet --no-compile --no-deps --no-build-isolation --editable "$here/.."
fi
