// A reader of flat configurations: a JSON object whose members are strings and numbers. The gateway
// hands over compact JSON that satisfied the schema, so nothing is checked.

// Where the reader stands.
let at: i32 = 0;

// The member's value: a string with its escapes resolved, or a number as it is written; the empty
// string if there is none.
export function member(json: string, name: string): string {
  at = 1;
  while (at < json.length && json.charCodeAt(at) == 0x22) {
    const key = text(json);
    at++; // the colon
    const value = json.charCodeAt(at) == 0x22 ? text(json) : word(json);
    if (key == name) return value;
    at++; // the comma
  }
  return "";
}

// Reads a number, which ends at a comma or at the end of the object.
function word(json: string): string {
  const from = at;
  while (json.charCodeAt(at) != 0x2c && json.charCodeAt(at) != 0x7d) at++;
  return json.substring(from, at);
}

// Reads a string whose opening quote is at the reader's place.
function text(json: string): string {
  let made = "";
  at++;
  let from = at;
  while (json.charCodeAt(at) != 0x22) {
    if (json.charCodeAt(at) != 0x5c) {
      at++;
      continue;
    }
    made += json.substring(from, at);
    const escaped = json.charCodeAt(at + 1);
    at += 2;
    if (escaped == 0x75) {
      made += String.fromCharCode(i32(parseInt(json.substring(at, at + 4), 16)));
      at += 4;
    } else {
      made += unescaped(escaped);
    }
    from = at;
  }
  made += json.substring(from, at);
  at++;
  return made;
}

function unescaped(escaped: i32): string {
  switch (escaped) {
    case 0x62: return "\b";
    case 0x66: return "\f";
    case 0x6e: return "\n";
    case 0x72: return "\r";
    case 0x74: return "\t";
    default: return String.fromCharCode(escaped);
  }
}
