// Judges descriptions of an API: node lint.mjs redocly|spectral '["a-rule-to-skip"]' FILE...
// Prints the complaints of each file as JSON; every rule of the linter's recommended set counts, whatever its severity.
import { readFile } from "node:fs/promises";

async function redocly(skipped) {
  const { createConfig, lint } = await import("@redocly/openapi-core");
  const config = await createConfig({ extends: ["recommended"], rules: off(skipped) });
  return async (file) => (await lint({ ref: file, config })).map(({ ruleId, message }) => `${ruleId}: ${message}`);
}

async function spectral(skipped) {
  const { default: { Document, Spectral } } = await import("@stoplight/spectral-core");
  const { default: { Json } } = await import("@stoplight/spectral-parsers");
  const { default: { oas } } = await import("@stoplight/spectral-rulesets");
  const judge = new Spectral();
  judge.setRuleset({ extends: [oas], rules: off(skipped) });
  return async (file) => {
    const found = await judge.run(new Document(await readFile(file, "utf-8"), Json, file));
    return found.map(({ code, message, path }) => `${code}: ${message} (${path.join(".")})`);
  };
}

const off = (rules) => Object.fromEntries(rules.map((rule) => [rule, "off"]));

const [linter, skipped, ...files] = process.argv.slice(2);
const complaints = await { redocly, spectral }[linter](JSON.parse(skipped));
const told = {};
for (const file of files) told[file] = await complaints(file);
console.log(JSON.stringify(told));
