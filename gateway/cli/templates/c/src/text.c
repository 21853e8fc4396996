#include "text.h"

#include <stdlib.h>
#include <string.h>

policy_string_t text(const char *literal) {
  policy_string_t made = {(uint8_t *)literal, strlen(literal)};
  return made;
}

bool equal(policy_string_t left, policy_string_t right) {
  return left.len == right.len && memcmp(left.ptr, right.ptr, left.len) == 0;
}

policy_string_t join(policy_string_t left, policy_string_t right) {
  policy_string_t made = {malloc(left.len + right.len), left.len + right.len};
  memcpy(made.ptr, left.ptr, left.len);
  memcpy(made.ptr + left.len, right.ptr, right.len);
  return made;
}

static uint32_t hex_digit(uint8_t digit) {
  return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10u;
}

static uint32_t hex4(const uint8_t *at) {
  return hex_digit(at[0]) << 12 | hex_digit(at[1]) << 8 | hex_digit(at[2]) << 4 | hex_digit(at[3]);
}

// Writes a character as UTF-8, and returns what follows.
static uint8_t *put(uint8_t *to, uint32_t c) {
  if (c < 0x80) {
    *to++ = (uint8_t)c;
  } else if (c < 0x800) {
    *to++ = (uint8_t)(0xc0 | c >> 6);
    *to++ = (uint8_t)(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    *to++ = (uint8_t)(0xe0 | c >> 12);
    *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    *to++ = (uint8_t)(0x80 | (c & 0x3f));
  } else {
    *to++ = (uint8_t)(0xf0 | c >> 18);
    *to++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    *to++ = (uint8_t)(0x80 | (c & 0x3f));
  }
  return to;
}

// Reads a string whose opening quote is at `at`; sets `at` behind its end.
static policy_string_t json_string(const uint8_t **at, const uint8_t *end) {
  const uint8_t *from = *at + 1;
  policy_string_t made = {malloc((size_t)(end - from)), 0};
  uint8_t *to = made.ptr;
  while (from < end && *from != '"') {
    if (*from != '\\') {
      *to++ = *from++;
      continue;
    }
    uint8_t escaped = from[1];
    from += 2;
    switch (escaped) {
    case 'b': *to++ = '\b'; break;
    case 'f': *to++ = '\f'; break;
    case 'n': *to++ = '\n'; break;
    case 'r': *to++ = '\r'; break;
    case 't': *to++ = '\t'; break;
    case 'u': {
      uint32_t c = hex4(from);
      from += 4;
      if (c >= 0xd800 && c < 0xdc00) {
        c = 0x10000 + ((c - 0xd800) << 10) + (hex4(from + 2) - 0xdc00);
        from += 6;
      }
      to = put(to, c);
      break;
    }
    default: *to++ = escaped;
    }
  }
  *at = from + 1;
  made.len = (size_t)(to - made.ptr);
  return made;
}

// Returns where the member's value begins; NULL if there is none.
static const uint8_t *json_value(policy_string_t json, const char *name) {
  const uint8_t *at = json.ptr, *end = json.ptr + json.len;
  policy_string_t wanted = text(name);
  while (at < end) {
    if (*at != '"') {
      at++;
      continue;
    }
    policy_string_t key = json_string(&at, end);
    if (at < end && *at == ':') {
      at++;
      if (equal(key, wanted)) {
        return at;
      }
      if (at < end && *at == '"') {
        json_string(&at, end);
      }
    }
  }
  return NULL;
}

bool json_member(policy_string_t json, const char *name, policy_string_t *value) {
  const uint8_t *at = json_value(json, name);
  if (at == NULL || *at != '"') {
    return false;
  }
  *value = json_string(&at, json.ptr + json.len);
  return true;
}

bool json_number(policy_string_t json, const char *name, uint32_t *value) {
  const uint8_t *at = json_value(json, name);
  if (at == NULL || *at < '0' || *at > '9') {
    return false;
  }
  for (*value = 0; *at >= '0' && *at <= '9'; at++) {
    *value = *value * 10 + (*at - '0');
  }
  return true;
}
