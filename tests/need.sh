# shellcheck shell=bash
# Sourced by the test scripts: installs Debian packages, and only where something is missing.

# debian_install PACKAGE...: needs root or sudo; says what to install by hand where there is neither, or no apt.
debian_install() {
  local sudo=()
  if [ "$(id -u)" != 0 ]; then sudo=(sudo); fi
  if ! command -v apt-get >/dev/null || ! command -v "${sudo[0]:-true}" >/dev/null; then
    echo "please install: $*" >&2
    return 1
  fi
  echo "installing: $*"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need COMMAND PACKAGE...: installs the packages unless the command is there.
need() {
  command -v "$1" >/dev/null || debian_install "${@:2}"
}
