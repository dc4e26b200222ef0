// A client of a typed service in JavaScript: sets a key of `example:kv/store`, reads it, and prints it.
import { get, set } from "example:kv/store@1.0.0";

// `wasi:cli/run`: a command runs once, to its end.
export const run = {
  run() {
    const revision = set("from-javascript", new TextEncoder().encode("JavaScript was here"));
    const { by, value } = get("from-javascript");
    console.log(`revision ${revision} by ${by}: ${new TextDecoder().decode(value)}`);
  },
};
