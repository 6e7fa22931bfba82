// A policy in AssemblyScript: what AssemblyScript gives to a host is a core module, so the records of the contract are
// read and written as bytes. Sizes and offsets are those of plugins/README.md.
//
//   npx asc policy.ts -o core.wasm -O --runtime stub --use abort=policy/stop
//   phasegate plugin componentize core.wasm -o policy.wasm

const OBSERVATION: usize = 116;
const ANSWERS: usize = 88;
const ANSWER: usize = 40;
const RESULT: usize = 60;

// Where texts of this file are, once they are UTF-8: a decision points at them.
function text(at: usize, words: string): void {
  const bytes = String.UTF8.encode(words);
  store<usize>(at, changetype<usize>(bytes));
  store<usize>(at + 4, <usize>bytes.byteLength);
}


export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  const at = heap.alloc(size);
  memory.copy(at, old, oldSize);
  return at;
}

// All of a call begins anew with the next one: `--runtime stub` frees nothing by itself.
export function cabi_post_evaluate(area: usize): void {
  heap.reset();
}

// `abort` of AssemblyScript is an import, which the contract does not have: with `--use abort=policy/stop` it is this.
export function stop(message: usize, file: usize, line: u32, column: u32): void {
  unreachable();
}

export function configure(settings: usize, length: usize): usize {
  const area = heap.alloc(12);
  memory.fill(area, 0, 12);
  if (length != 2) {
    store<u8>(area, 1);
    text(area + 4, "there are no settings");
  }
  return area;
}

export function evaluate(batch: usize, count: usize): usize {
  const results = heap.alloc(count * RESULT);
  memory.fill(results, 0, count * RESULT);
  for (let i: usize = 0; i < count; i++) judge(batch + i * OBSERVATION, results + i * RESULT);
  const area = heap.alloc(8);
  store<usize>(area, results);
  store<usize>(area + 4, count);
  return area;
}

// Healthy is 0, unhealthy 1 and unknown 2; proceed is 0, skip 1 and defer 2.
function judge(seen: usize, result: usize): void {
  const answer = load<usize>(seen + ANSWERS);
  if (load<u8>(answer + 8) != 0) return decide(result, 2, 0, "no-answer");
  const status = load<u16>(answer + 16);
  if (status != 0 && (status < 200 || status > 299)) return decide(result, 1, 0, "http-status");
  const body = load<usize>(answer + 28);
  const isBusy = load<usize>(answer + 32) > 0 && load<u8>(body) == 0x62;
  decide(result, 0, isBusy ? 2 : 0, isBusy ? "busy" : "ok");
}

function decide(result: usize, health: u8, participation: u8, code: string): void {
  store<u8>(result + 4, health);
  store<u8>(result + 16, participation);
  store<u8>(result + 20, 1);
  text(result + 24, code);
  text(result + 32, "");
}
