// The types of wit/policy.wit in memory, by the component model's canonical ABI: there is no generator
// of bindings for AssemblyScript, so offsets are written by hand. What a field means is said in
// wit/policy.wit. The lock's state (`facts.lock`) is not read here: add it where a rule needs it.

@external("$root", "trace")
declare function trace(text: usize, length: usize): void;

// Gives the gateway memory for arguments. Memory is never given back: the gateway throws the instance
// away after each call.
export function cabi_realloc(old: usize, had: usize, align: usize, size: usize): usize {
  return size == 0 ? align : heap.alloc(size);
}

// A text at this place.
export function read(text: usize, length: usize): string {
  return String.UTF8.decodeUnsafe(text, length);
}

// Tells the author what the policy thinks; shown by `leasehold policy explain`.
export function say(message: string): void {
  const bytes = String.UTF8.encode(message);
  trace(changetype<usize>(bytes), bytes.byteLength);
}

// What the compiler calls where the program cannot go on. The gateway shows authors what was traced
// last.
export function stop(message: string | null, file: string | null, line: u32, column: u32): void {
  const text = message === null ? "stopped" : message;
  const place = file === null ? "" : file;
  say(text + " at " + place + ":" + line.toString());
  unreachable();
}

function readAt(at: usize): string {
  return read(load<usize>(at), load<usize>(at, 4));
}

function readOption(at: usize): string | null {
  return load<u8>(at) == 0 ? null : readAt(at + 4);
}

function readPairs(at: usize): Pair[] {
  const first = load<usize>(at);
  const pairs: Pair[] = [];
  for (let i: usize = 0; i < load<usize>(at, 4); i++) pairs.push(new Pair(first + i * 16));
  return pairs;
}

export class Pair {
  key: string;
  value: string;

  constructor(at: usize) {
    this.key = readAt(at);
    this.value = readAt(at + 8);
  }
}

export class Request {
  operation: string;
  namespace: string;
  lock: string;
  // How many permits of a shared lock; 0 for exclusive, or if there is no mode.
  permits: u32;
  // 0 if it was not given; so are `waitMs` and `graceMs`.
  ttlMs: u64;
  waitMs: u64;
  graceMs: u64;
  instance: string | null;
  labels: Pair[];
  reason: string | null;
  value: string | null;
  successor: string | null;
  lease: string | null;

  constructor(at: usize) {
    this.operation = readAt(at);
    this.namespace = readAt(at + 8);
    this.lock = readAt(at + 16);
    this.permits = load<u8>(at, 24) == 1 && load<u8>(at, 28) == 1 ? load<u32>(at, 32) : 0;
    this.ttlMs = load<u8>(at, 40) == 1 ? load<u64>(at, 48) : 0;
    this.waitMs = load<u8>(at, 56) == 1 ? load<u64>(at, 64) : 0;
    this.graceMs = load<u8>(at, 72) == 1 ? load<u64>(at, 80) : 0;
    this.instance = readOption(at + 88);
    this.labels = readPairs(at + 100);
    this.reason = readOption(at + 108);
    this.value = readOption(at + 120);
    this.successor = readOption(at + 132);
    this.lease = readOption(at + 144);
  }
}

export class Principal {
  subject: string;
  team: string | null;
  roles: string[];
  claims: Pair[];

  constructor(at: usize) {
    this.subject = readAt(at);
    this.team = readOption(at + 8);
    const roles: string[] = [];
    const first = load<usize>(at, 20);
    for (let i: usize = 0; i < load<usize>(at, 24); i++) roles.push(readAt(first + i * 8));
    this.roles = roles;
    this.claims = readPairs(at + 28);
  }
}

export class Facts {
  nowMs: u64;
  utcWeekday: u8;
  utcDayMs: u32;
  // -1 if the manifest does not ask for the usage.
  subjectLeases: i64;
  teamLeases: i64;

  constructor(at: usize) {
    this.nowMs = load<u64>(at);
    this.utcWeekday = load<u8>(at, 8);
    this.utcDayMs = load<u32>(at, 12);
    const known = load<u8>(at, 80) == 1;
    this.subjectLeases = known ? <i64>load<u32>(at, 84) : -1;
    this.teamLeases = known ? <i64>load<u32>(at, 88) : -1;
  }
}

export class Denial {
  // When it may be worth asking again; 0 to say nothing.
  retryAfterMs: u64 = 0;

  constructor(public code: string, public message: string) {}
}

// Leases that the gateway counts, and the most that there may be of them.
export class Counter {
  // The code of the denial if the counter is full; null for `quota-exceeded`.
  code: string | null = null;

  constructor(public name: string, public maximum: u32) {}
}

export class Verdict {
  // Limits for an allowing verdict; 0 for none.
  maxTtlMs: u64 = 0;
  maxHoldMs: u64 = 0;
  // Counters for an allowing verdict, at most 8.
  counters: Counter[] = [];

  // Allows where there is no denial.
  constructor(public denial: Denial | null) {}
}

export class Manifest {
  operations: string[] = [];
  needsLock: bool = false;
  needsUsage: bool = false;
  // The inputs that verdicts depend on; null for all of them.
  reads: string[] | null = null;
  // With `reads`: how exact a time verdicts depend on; 0 if they do not depend on the time.
  nowGranularityMs: u64 = 0;

  constructor(public name: string, public version: string, public schema: string) {}

  lower(): usize {
    const at = heap.alloc(72);
    write(at, this.name);
    write(at + 8, this.version);
    writeTexts(at + 16, this.operations);
    store<u8>(at, this.needsLock ? 1 : 0, 24);
    store<u8>(at, this.needsUsage ? 1 : 0, 25);
    write(at + 28, this.schema);
    const reads = this.reads;
    store<u8>(at, reads === null ? 0 : 1, 40);
    if (reads !== null) {
      writeTexts(at + 48, reads);
      writeOption(at + 56, this.nowGranularityMs);
    }
    return at;
  }
}

export class Answer {
  static ofCheck(problem: string | null): usize {
    const at = heap.alloc(12);
    store<u8>(at, problem === null ? 0 : 1);
    if (problem !== null) write(at + 4, problem);
    return at;
  }

  static ofDecide(verdict: Verdict): usize {
    const at = heap.alloc(56);
    memory.fill(at, 0, 56);
    const denial = verdict.denial;
    if (denial === null) {
      writeOption(at + 16, verdict.maxTtlMs);
      writeOption(at + 32, verdict.maxHoldMs);
      writeCounters(at + 48, verdict.counters);
      return at;
    }
    store<u8>(at, 1, 8);
    write(at + 16, denial.code);
    write(at + 24, denial.message);
    writeOption(at + 32, denial.retryAfterMs);
    return at;
  }
}

function write(at: usize, text: string): void {
  const bytes = String.UTF8.encode(text);
  store<usize>(at, changetype<usize>(bytes));
  store<usize>(at, bytes.byteLength, 4);
}

function writeTexts(at: usize, texts: string[]): void {
  const first = heap.alloc(8 * texts.length);
  for (let i = 0; i < texts.length; i++) write(first + 8 * i, texts[i]);
  store<usize>(at, first);
  store<usize>(at, texts.length, 4);
}

function writeCounters(at: usize, counters: Counter[]): void {
  const first = heap.alloc(24 * counters.length);
  for (let i = 0; i < counters.length; i++) {
    const counter = counters[i];
    const place = first + 24 * i;
    write(place, counter.name);
    store<u32>(place, counter.maximum, 8);
    const code = counter.code;
    store<u8>(place, code === null ? 0 : 1, 12);
    if (code !== null) write(place + 16, code);
  }
  store<usize>(at, first);
  store<usize>(at, counters.length, 4);
}

function writeOption(at: usize, value: u64): void {
  store<u8>(at, value == 0 ? 0 : 1);
  store<u64>(at, value, 8);
}
