// Texts, and a reader of flat configurations.
#pragma once

#include "policy.h"

// A text of the program.
policy_string_t text(const char *literal);

bool equal(policy_string_t left, policy_string_t right);

// Both, one after the other, in new memory. Memory is never given back: the gateway throws the
// instance away after each call.
policy_string_t join(policy_string_t left, policy_string_t right);

// Reads a member of a JSON object whose value is a string, with its escapes resolved. Other members
// may be strings, numbers, booleans and null, but not objects or lists. The gateway hands over
// compact JSON that satisfied the schema, so nothing is checked.
bool json_member(policy_string_t json, const char *name, policy_string_t *value);

// Reads a member whose value is a whole number, not negative and below 2 to the power of 32. Returns
// false, and leaves `value` as it is, if there is none.
bool json_number(policy_string_t json, const char *name, uint32_t *value);
