#!/bin/sh
# Makes one of the project's environments or brings it up to date: setup_environment.sh base|test|lowest|gen|clients
# An environment counts only with its stamp, written last; whatever fails is said in one line on stderr.
set -eu

python=${PYTHON:-python3}
cd "$(dirname "$0")/.."

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

kind=${1-}
case $kind in
    base | test) directory=.venv inputs=pyproject.toml ;;
    lowest)  directory=.venv-lowest inputs=pyproject.toml ;;
    gen)     directory=.venv-gen inputs=tools/generator-requirements.txt ;;
    clients) directory=.venv-clients inputs='pyproject.toml tests/clients/requirements.txt' ;;
    *)       fail "setup_environment.sh: '$kind' is not an environment; choose base, test, lowest, gen or clients" ;;
esac
log=build/setup-$kind.log
quietly='install --disable-pip-version-check --no-input --no-compile'

check_python() {
    command -v "$python" >/dev/null 2>&1 ||
        fail "$python is not installed; qubitd needs Python 3.11 or newer. Type: sudo apt install git make python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "qubitd needs Python 3.11 or newer, $python is $("$python" -V 2>&1). Install a newer one and type: make PYTHON=python3.11 setup"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python lacks the venv module. Type: sudo apt install git make python3-venv"
}

# Everything that makes an environment stale: where it lies, its interpreter, what it was told to install.
interpreter() {
    pwd
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
}

fingerprint() {
    interpreter
    cksum $inputs tools/setup_environment.sh
}

is_ready() {
    [ -f "$directory/.ready-$1" ] && [ "$(fingerprint)" = "$(cat "$directory/.ready-$1")" ]
}

# An unfinished new environment is removed; an old one merely loses its stamps, so that the next run mends it.
clean_up() {
    status=$?
    trap - EXIT INT TERM HUP
    [ "$finished" ] || [ "$kept" ] || rm -rf "$directory"
    exit "$status"
}

# The pip that comes with an old Python holds each of 80 000 file names against 900 tags, which is half of its time; it
# will do where there is no other.
create() {
    rm -rf "$directory"
    "$python" -m venv "$directory" >"$log" 2>&1 ||
        fail "could not make $directory: $(tail -n 1 "$log"). The whole story is in $log"
    "$directory/bin/python" -m pip $quietly --retries 0 'pip>=24' >"$log" 2>&1 || :
    interpreter >"$directory/.interpreter"
}

# Without bytecode: what is imported gets its own at the first import, which is a small part of what is installed.
install() {
    "$directory/bin/python" -m pip $quietly "$@" >"$log" 2>&1 || explain
}

explain() {
    grep -qE 'after connection broken by|Max retries exceeded|ProxyError|\(from versions: none\)' "$log" &&
        fail "no network: the package index could not be reached ($log). Check the connection or pip's proxy, then type it again"
    fail "could not install into $directory: $(grep -E '^ *(ERROR|error):' "$log" | tail -n 1). The whole story is in $log"
}

install_kind() {
    case $kind in
        base) install --editable . ;;
        test) install --editable '.[test]' ;;
        lowest)
            "$python" tools/lower_bounds.py >build/lower-bounds.txt
            install --editable '.[test-lowest]' --constraint build/lower-bounds.txt
            ;;
        gen) install --requirement "$inputs" ;;
        clients) install --editable . --requirement tests/clients/requirements.txt ;;
    esac
}

check_python
if is_ready "$kind" || { [ "$kind" = base ] && is_ready test; }; then
    exit 0
fi

finished='' kept=''
if [ -f "$directory/.interpreter" ] && [ "$(interpreter)" = "$(cat "$directory/.interpreter")" ]; then
    kept=yes
fi
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
mkdir -p build
rm -f "$directory"/.ready-*
echo "setting up $directory ($kind): this may take a minute"
[ "$kept" ] || create
install_kind
fingerprint >"$directory/.ready-$kind"
finished=yes
