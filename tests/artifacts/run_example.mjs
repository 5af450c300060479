// node run_example.mjs MODULE FOLDER: every ONNX file of a version in onnxruntime-web, on the worked examples of
// model_meta.json. Prints, per file, the largest difference from what stands there.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [module, folder] = process.argv.slice(2);
const ort = await import(pathToFileURL(module));
ort.env.wasm.numThreads = 1;

const arrays = { int64: BigInt64Array, float32: Float32Array };
const { models } = JSON.parse(fs.readFileSync(path.join(folder, "model_meta.json")));
const differences = {};
for (const [name, { inputs, outputs, example }] of Object.entries(models)) {
  const session = await ort.InferenceSession.create(fs.readFileSync(path.join(folder, name)), {
    executionProviders: ["wasm"],
  });
  const feeds = {};
  for (const { name: input, type, shape } of inputs) {
    const value = example.inputs[input];
    const flat = value.flat(Infinity).map((x) => (type === "int64" ? BigInt(x) : x));
    const dimensions = shape.map((axis, k) => (typeof axis === "number" ? axis : sizeOf(value, k)));
    feeds[input] = new ort.Tensor(type, arrays[type].from(flat), dimensions);
  }
  const answers = await session.run(feeds);
  differences[name] = Math.max(
    ...outputs.map(({ name: output }) => {
      const expected = example.outputs[output].flat(Infinity);
      return Math.max(...expected.map((x, k) => Math.abs(x - answers[output].data[k])));
    }),
  );
}
console.log(JSON.stringify(differences));

function sizeOf(value, depth) {
  return depth === 0 ? value.length : value.length ? sizeOf(value[0], depth - 1) : 0;
}
