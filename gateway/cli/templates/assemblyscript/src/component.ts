// The component: what the gateway calls. The rule itself is in rule.ts.
import { Answer, Facts, Manifest, Principal, Request, read, say } from "./abi";
import { Config, SCHEMA, decide as judge } from "./rule";

export { cabi_realloc } from "./abi";

export function describe(): usize {
  const manifest = new Manifest("needs-ticket", "0.1.0", SCHEMA);
  manifest.operations = ["acquire"];
  // The rule sees only these inputs, so the gateway may cache its verdicts. Without them it sees all
  // inputs, and its verdicts are not cached.
  manifest.reads = ["request.lock", "request.labels", "principal.subject"];
  return manifest.lower();
}

export function check(config: usize, length: usize): usize {
  return Answer.ofCheck(new Config(read(config, length)).problem());
}

export function decide(at: usize): usize {
  const request = new Request(at);
  const who = new Principal(at + 160);
  const facts = new Facts(at + 200);
  const config = new Config(read(load<usize>(at, 296), load<usize>(at, 300)));
  say(who.subject + " asks for " + request.lock);
  return Answer.ofDecide(judge(request, who, facts, config));
}
