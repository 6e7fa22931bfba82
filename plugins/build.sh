#!/usr/bin/env bash
# Rebuilds the Rust plugins from source.
#
#   plugins/build.sh [NAME...] [--out DIR]
#
# Without NAME: every plugin that has a Cargo.toml. Writes plugins/NAME/NAME.wasm, or
# DIR/NAME.wasm with --out. Talks on stderr only; exits non-zero when anything fails.
#
# PHASEGATE_BIN  a `phasegate` to make components with; default: the one of this workspace.
#
# It deliberately does not run the cases: `cargo test` does that, natively and on the components.
set -euo pipefail

readonly target=wasm32-unknown-unknown
plugins=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$plugins")
target_dir=${CARGO_TARGET_DIR:-$root/target}/guest
mkdir -p "$target_dir"
target_dir=$(cd "$target_dir" && pwd)

say() { printf 'build.sh: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# Whether dotted version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

has_target() {
  local sysroot
  sysroot=$(cd "$root" && rustc --print sysroot 2>/dev/null) || return 1
  [ -d "$sysroot/lib/rustlib/$target/lib" ]
}

# Debian's compiler comes with the sources of std, so std is built along. The linker is the one
# of the ordinary toolchain where there is one.
use_debian() {
  local needed found lld packages=(rustc-web cargo-web rust-web-src lld)
  needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
  if ! [ -x /usr/bin/cargo ] || ! [ -d /usr/lib/rustlib/src ]; then
    command -v apt-get >/dev/null || die "no $target: run 'rustup target add $target'"
    [ "$(id -u)" = 0 ] || die "no $target: run 'apt-get install ${packages[*]}' as root"
    say "installing ${packages[*]}"
    apt-get update >&2
    apt-get install -y --no-install-recommends "${packages[@]}" >&2
  fi
  found=$(/usr/bin/rustc --version | cut -d ' ' -f 2)
  at_least "$found" "$needed" ||
    die "no $target: Debian's rustc is $found, needed is $needed; run 'rustup target add $target'"
  lld=$(dirname "$(rustc --print target-libdir 2>/dev/null)")/bin
  cargo=(env "PATH=/usr/bin:/bin:$lld" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo)
  cargo_args+=("-Zbuild-std=std,panic_abort")
}

choose_toolchain() {
  cargo=(cargo)
  if has_target; then
    say "using the toolchain's $target"
  elif command -v rustup >/dev/null && (cd "$root" && rustup target add "$target" >&2) && has_target; then
    say "added $target to the toolchain"
  else
    use_debian
    say "using Debian's compiler with its own std"
  fi
}

componentize() {
  if [ -n "${PHASEGATE_BIN:-}" ]; then
    "$PHASEGATE_BIN" plugin componentize "$1" -o "$2" >&2
  else
    (cd "$root" && cargo run --release -q -p phasegate -- plugin componentize "$1" -o "$2" >&2)
  fi
}

names=()
out=
while [ $# -gt 0 ]; do
  case $1 in
    --out)
      [ $# -ge 2 ] || die "--out needs a folder"
      out=$2
      shift
      ;;
    -h | --help)
      sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
      exit 0
      ;;
    -*) die "unknown option $1" ;;
    *) names+=("$1") ;;
  esac
  shift
done
if [ ${#names[@]} -eq 0 ]; then
  for manifest in "$plugins"/*/Cargo.toml; do
    names+=("$(basename "$(dirname "$manifest")")")
  done
fi
if [ -n "$out" ]; then
  mkdir -p "$out"
  out=$(cd "$out" && pwd)
fi

cargo=()
cargo_args=(build --profile guest --target "$target" --target-dir "$target_dir")
for name in "${names[@]}"; do
  [ -f "$plugins/$name/Cargo.toml" ] || die "no Rust plugin '$name': plugins/$name/Cargo.toml is missing"
  cargo_args+=(-p "$name")
done
# CI builds exactly what is locked; a new plugin at home may add itself to the lock file.
[ -z "${CI:-}" ] || cargo_args+=(--locked)
choose_toolchain

# A small stack makes a fresh instance cheap; the SDK never recurses on input. The remapped
# prefixes keep the names of this machine's folders out of the components.
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
flags=(-C link-arg=-zstack-size=65536 "--remap-path-prefix=$root=" "--remap-path-prefix=$registry=registry")
encoded=$(printf '\037%s' "${flags[@]}")
say "building ${names[*]}"
(cd "$root" && CARGO_ENCODED_RUSTFLAGS=${encoded:1} "${cargo[@]}" "${cargo_args[@]}" >&2)

for name in "${names[@]}"; do
  folder=${out:-$plugins/$name}
  core=$target_dir/$target/guest/${name//-/_}.wasm
  componentize "$core" "$folder/$name.wasm.tmp"
  mv "$folder/$name.wasm.tmp" "$folder/$name.wasm"
  say "wrote $folder/$name.wasm ($(wc -c <"$folder/$name.wasm" | tr -d ' ') bytes)"
done
