// The component: what the gateway calls. The rule itself is in rule.c.
#include "policy.h"
#include "rule.h"
#include "text.h"

static const char SCHEMA[] = "{\"type\":\"object\",\"additionalProperties\":false,"
                             "\"required\":[\"label\",\"prefix\"],\"properties\":{"
                             "\"label\":{\"type\":\"string\",\"minLength\":1},"
                             "\"prefix\":{\"type\":\"string\",\"minLength\":1},"
                             "\"max_leases\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000}}}";

void exports_policy_describe(policy_manifest_t *ret) {
  static policy_string_t operations[1], reads[3];
  operations[0] = text("acquire");
  reads[0] = text("request.lock");
  reads[1] = text("request.labels");
  reads[2] = text("principal.subject");
  ret->name = text("needs-ticket");
  ret->version = text("0.1.0");
  ret->operations.ptr = operations;
  ret->operations.len = 1;
  ret->needs_lock = false;
  ret->needs_usage = false;
  ret->config_schema = text(SCHEMA);
  // The rule sees only these inputs, so the gateway may cache its verdicts. With `is_some = false` it
  // sees all inputs, and its verdicts are not cached.
  ret->reads.is_some = true;
  ret->reads.val.fields.ptr = reads;
  ret->reads.val.fields.len = 3;
  ret->reads.val.now_granularity_ms.is_some = false;
}

// False says that `err` was set.
bool exports_policy_check(policy_string_t *config, policy_string_t *err) {
  config_t read;
  return read_config(*config, &read, err);
}

bool exports_policy_decide(policy_request_t *request, policy_principal_t *principal,
                           policy_facts_t *facts, policy_string_t *config, policy_verdict_t *ret,
                           policy_string_t *err) {
  (void)facts;
  config_t read;
  if (!read_config(*config, &read, err)) {
    return false;
  }
  policy_string_t message = join(join(principal->subject, text(" asks for ")), request->lock);
  policy_trace(&message);
  *ret = decide(request, &read);
  return true;
}

// The bindings ask for an object file with the world's types. `wasm-tools component embed` adds them
// instead; see the Makefile.
void __component_type_object_force_link_policy(void) {}
