#!/bin/sh
# Makes the virtual environment $1 from requirements/dev.lock and puts `holdfast` in it. Run again, it starts afresh,
# so that what the lock file no longer names is gone. PYTHON names the interpreter to use.
set -eu

venv=$1
least='import sys; sys.exit(sys.version_info < (3, 11))'

fail() {
	printf 'holdfast: %s\n' "$*" >&2
	exit 1
}

find_python() {
	if [ -n "${PYTHON:-}" ]; then
		"$PYTHON" -c "$least" 2>/dev/null || fail "PYTHON=$PYTHON is not a Python 3.11 or later"
		echo "$PYTHON"
		return
	fi
	for name in python3 python3.14 python3.13 python3.12 python3.11; do
		if "$name" -c "$least" 2>/dev/null; then
			echo "$name"
			return
		fi
	done
	fail "no Python 3.11 or later on PATH. Install one, or name one: make PYTHON=/path/to/python3 ..."
}

python=$(find_python)
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
	fail "$python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"

# One set-up at a time: two targets started together would each rebuild it under the other.
if command -v flock >/dev/null && [ -z "${HOLDFAST_SETUP_LOCKED:-}" ]; then
	mkdir -p .holdfast
	HOLDFAST_SETUP_LOCKED=1 PYTHON=$python exec flock .holdfast/setup.lock sh "$0" "$venv"
fi
if [ -e "$venv/.ready" ] && [ -z "$(find requirements/dev.lock pyproject.toml "$0" -newer "$venv/.ready")" ]; then
	exit 0
fi

printf 'holdfast: setting up %s (only the first time)\n' "$venv" >&2
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock ||
	fail "the locked dependencies could not be installed; see above"
"$venv/bin/pip" install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ||
	fail "holdfast itself could not be installed; see above"
ln -s ../../bin/holdfast "$venv/bin/holdfast"
touch "$venv/.ready"
