// Prints what Khronos' glTF validator says of the files named as arguments: a JSON list of reports.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const validator = createRequire(import.meta.url)("gltf-validator");

const reports = await Promise.all(
  process.argv.slice(2).map((path) => validator.validateBytes(new Uint8Array(readFileSync(path)))),
);
process.stdout.write(JSON.stringify(reports));
