# Sourced by every script: makes .venv beside the checkout when it is missing or out of date,
# and leaves $PYTHON pointing into it. Needs python3 3.11 or later with the venv module.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=${STRANGLER_VENV:-$ROOT/.venv}
PYTHON=$VENV/bin/python

prepare_environment() {
    local base=${STRANGLER_PYTHON:-python3} wanted owner
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
        echo "strangler: Python 3.11 or later is needed; '$base' is $("$base" --version 2>&1 || echo missing)." >&2
        echo "strangler: set STRANGLER_PYTHON to the interpreter to use." >&2
        return 2
    }
    wanted=$({ cat "$ROOT/pyproject.toml"; "$base" --version; echo "$ROOT"; } | cksum)
    [ "$(cat "$VENV/.ready" 2>/dev/null)" = "$wanted" ] && [ -e "$VENV/.checkout" ] && return 0
    # Two scripts started together must not build the same environment at once.
    mkdir -p "$(dirname "$VENV")" && exec 9>"$VENV.lock" || return 2
    flock 9
    if [ "$(cat "$VENV/.ready" 2>/dev/null)" != "$wanted" ]; then
        # The package is installed as it stands in one checkout: another would take it over.
        owner=$(cat "$VENV/.checkout" 2>/dev/null)
        if [ "${owner:-$ROOT}" != "$ROOT" ] && [ -d "$owner" ]; then
            echo "strangler: $VENV is the environment of $owner; set STRANGLER_VENV to another folder for $ROOT." >&2
            return 2
        fi
        echo "strangler: preparing $VENV (once; a minute or two) ..." >&2
        "$base" -m venv "$VENV" &&
            "$PYTHON" -m pip install --quiet --quiet --disable-pip-version-check --editable "$ROOT[blog,dev]" >&2 || {
            echo "strangler: the environment could not be prepared; the lines above say why." >&2
            return 2
        }
        echo "$wanted" >"$VENV/.ready"
    fi
    echo "$ROOT" >"$VENV/.checkout"
    exec 9>&-
}

prepare_environment || exit $?
export PATH="$VENV/bin:$PATH" PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
cd "$ROOT" || exit 2
